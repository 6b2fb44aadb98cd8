import { afterEach, expect, test } from 'vitest';
import { signalSchema, statusSchema } from '../../src/contract/events.js';
import { cli } from '../support/cli.js';
import { FeedClient, MAIN, Pod } from '../support/pod.js';
import { Child, Cleanup, HOST } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ENV = { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0', DRAIN_DELAY_SECONDS: '0' };
const DEMO_LINE = 'the demo feed is on: its signals and statuses are made up';

interface Running {
  readonly child: Child;
  readonly port: number;
  readonly adminPort: number;
}

async function serving(child: Child): Promise<Running> {
  const line = await until(
    'the gateway to serve',
    () => child.stdout.split('\n').find((one) => one.includes('"msg":"serving"') && one.endsWith('}')),
    { seen: () => child.stdout + child.stderr },
  );
  const { port, adminPort } = JSON.parse(line) as { port: number; adminPort: number };
  return { child, port, adminPort };
}

/** Starts `node dist/main.js` with arguments. */
async function startMain(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Running> {
  const child = new Child(process.execPath, [MAIN, ...args], { ...ENV, ...env });
  return serving(cleanup.add(child, (self) => self.kill()));
}

/** Watches a demo until it has shown a dozen symbols and all services, and returns what the log said of it. */
async function watchDemo({ child, port }: Running): Promise<string[]> {
  const client = await FeedClient.connect(cleanup, `http://${HOST}:${port}`);
  const symbols = (): Set<unknown> =>
    new Set(client.signals.map(([payload]) => (payload as { symbol: string }).symbol));
  const services = (): Set<unknown> =>
    new Set(client.statuses.map(([payload]) => (payload as { service: string }).service));
  await until('signals of a dozen symbols and statuses', () => symbols().size === 12 && services().size >= 3, {
    seen: () => [client, child.stdout, child.stderr],
    limit: 30_000,
  });
  expect(client.signals.filter(([payload]) => !signalSchema.safeParse(payload).success)).toEqual([]);
  expect(client.statuses.filter(([payload]) => !statusSchema.safeParse(payload).success)).toEqual([]);
  return child.stdout.split('\n').filter((line) => line.includes('demo'));
}

test('node dist/main.js --demo shows a stock client signals of a dozen symbols, all of the right shape', async () => {
  const log = await watchDemo(await startMain(['--demo', '--demo-rate', '200']));
  expect(log).toEqual([expect.stringContaining(DEMO_LINE)]);
});

test('signal-gateway start --demo does so too, where all addresses are listened to and a key is needed', async () => {
  const env = { ...ENV, ADMIN_HOST: '0.0.0.0', API_KEY: 'first-key,second-key' };
  const running = await serving(cli(cleanup, ['start', '--demo', '--demo-rate', '200'], env));
  expect(await watchDemo(running)).toEqual([expect.stringContaining(DEMO_LINE)]);
  expect(running.child.stdout + running.child.stderr).not.toMatch(/first-key|second-key/);
});

test('a demo whose every message would be refused for want of a key ends the start with 2 and says so', async () => {
  // An address that is of no machine: nothing listens on it, since the start ends before.
  const child = cli(cleanup, ['start', '--demo'], { ...ENV, ADMIN_HOST: '192.0.2.1' });
  expect([await child.exit, child.stdout]).toEqual([2, '']);
  expect(child.stderr).toMatch(/^--demo .*ADMIN_HOST=192\.0\.2\.1.*API_KEY[^\n]*\n$/);
  const keyed = cli(cleanup, ['start', '--demo'], { ...ENV, ADMIN_HOST: '192.0.2.1', API_KEY: 'a-key' });
  expect(await keyed.exit).toBe(1);
  expect(keyed.stderr).toContain('ADMIN_PORT');
});

test.each(['localhost', '127.0.0.2', '0.0.0.0'])('a demo needs no key where ADMIN_HOST is %s', async (host) => {
  const { child, port } = await startMain(['--demo-rate', '50'], { ADMIN_HOST: host });
  const client = await FeedClient.connect(cleanup, `http://${HOST}:${port}`);
  await until('a signal', () => client.signals.length > 0, { seen: () => child.stdout });
  expect(client.signals[0]?.[0]).toMatchObject({ demo: true });
});

test('a gateway makes nothing up unless it is asked to', async () => {
  const pod = await Pod.start(cleanup);
  const client = await FeedClient.connect(cleanup, pod.url);
  await pod.post('/v1/signals', signal(1));
  await until('the one signal', () => client.signals.length > 0, { seen: () => client });
  expect(pod.output()).not.toContain('made up');
  expect([client.signals.length, client.statuses.length]).toEqual([1, 0]);
});

test('--demo-rate alone asks for it, and an invalid rate is refused', async () => {
  const { child } = await startMain(['--demo-rate', '5']);
  await until('the line in the log', () => child.stdout.includes(DEMO_LINE), { seen: () => child.stdout });
  const wrong = cli(cleanup, ['start', '--demo-rate', '0'], ENV);
  expect(await wrong.exit).toBe(2);
  expect(wrong.stderr).toContain('--demo-rate');
});

test('the demo stops first at SIGTERM: what comes in the drain is real', async () => {
  const { child, port, adminPort } = await startMain(['--demo-rate', '200'], { DRAIN_DELAY_SECONDS: '3' });
  const client = await FeedClient.connect(cleanup, `http://${HOST}:${port}`);
  await until('signals', () => client.signals.length > 20, { seen: () => client });
  child.process.kill('SIGTERM');
  const admin = `http://${HOST}:${adminPort}`;
  await until('the drain to begin', async () => (await fetch(`${admin}/readyz`)).status === 503);
  const answer = await fetch(`${admin}/v1/signals`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(signal(1)),
  });
  expect(answer.status).toBe(202);
  expect(await child.exit).toBe(0);
  expect(client.signals.at(-1)?.[0]).toEqual(signal(1));
});
