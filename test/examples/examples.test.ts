import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Child, Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

const FOLDER = fileURLToPath(new URL('../../examples/', import.meta.url));

/** The first of these programs that can do this. */
function able(programs: readonly string[], args: readonly string[]): string | undefined {
  return programs.find((program) => spawnSync(program, args, { stdio: 'ignore' }).status === 0);
}

const PYTHONS = ['python3', '/usr/bin/python3'];
const PYTHON = able(PYTHONS, ['-c', '']);
/** Debian's packages python3-socketio and python3-aiohttp, or `pip install python-socketio aiohttp`. */
const SOCKETIO_PYTHON = able(PYTHONS, ['-c', 'import socketio, aiohttp']);
const CURL = able(['curl'], ['--version']);

function start(command: string, file: string, args: readonly string[], env: Record<string, string> = {}): Child {
  return cleanup.add(new Child(command, [FOLDER + file, ...args], env), (child) => child.kill());
}

/** Runs an example to its end. @returns what it printed */
async function run(command: string, file: string, args: readonly string[], env: Record<string, string> = {}) {
  const child = start(command, file, args, env);
  const code = await child.exit;
  return { code, out: child.stdout, error: child.stderr };
}

async function prints(child: Child, text: string, times = 1): Promise<void> {
  await until(`${times} times "${text}"`, () => child.stdout.split(text).length > times, {
    seen: () => child.stdout + child.stderr,
    limit: 40_000,
  });
}

/** Two pods behind a load balancer. */
async function twoPods(): Promise<{ one: Pod; other: Pod; door: FrontDoor }> {
  const redis = await RedisServer.start(cleanup);
  const env = { REDIS_URL: redis.url };
  const [one, other] = [await Pod.start(cleanup, env), await Pod.start(cleanup, env)];
  const door = await FrontDoor.open(cleanup, [one, other]);
  door.use(one);
  return { one, other, door };
}

/** The lines about signals, without the offset. */
function signals(child: Child): string[] {
  return [...child.stdout.matchAll(/^((?:BUY|SELL) \S+ \S+) \S+:\d+$/gm)].map(([, text = '']) => text);
}

/** Shows that a client prints signals and states, and what it missed while its pod was killed: each once, in order. */
async function followsTheFeed(command: string, file: string): Promise<Child> {
  const { one, other, door } = await twoPods();
  const prices = Array.from({ length: 200 }, (_, i) => i + 1);
  await one.post('/v1/status', status('degraded'));
  const child = start(command, file, [door.url]);
  await prints(child, 'SignalMonitorWorker degraded');
  await one.post(
    '/v1/signals',
    prices.slice(0, 50).map((price) => signal(price)),
  );
  await prints(child, 'BTC/USDT', 50);
  await one.child.kill();
  await other.post('/v1/signals', [
    signal(9000, { symbol: 'DOGE/USDT' }),
    ...prices.slice(50, 150).map((price) => signal(price)),
  ]);
  await prints(child, 'BTC/USDT', 150);
  await other.post(
    '/v1/signals',
    prices.slice(150).map((price) => signal(price)),
  );
  await prints(child, 'BTC/USDT', 200);
  expect(signals(child)).toEqual(prices.map((price) => `${price % 2 === 0 ? 'BUY' : 'SELL'} BTC/USDT ${price}`));
  expect(child.stdout).not.toContain('lost');
  expect(child.stderr).toBe('');
  return child;
}

test('examples/node.mjs prints the feed over a pod that is killed, and ends with Ctrl-C', async () => {
  const child = await followsTheFeed(process.execPath, 'node.mjs');
  expect(child.stdout).toContain('connected false\n');
  expect(child.stdout).toContain('connected true\n');
  expect(await child.kill('SIGINT')).toBe(0);
});

test('examples/stock.mjs prints the feed over a pod that is killed, and ends with Ctrl-C', async () => {
  const child = await followsTheFeed(process.execPath, 'stock.mjs');
  expect(child.stdout).toContain('connected true\n');
  expect(await child.kill('SIGINT')).toBe(0);
});

test.skipIf(SOCKETIO_PYTHON === undefined)(
  'examples/python-client.py prints the feed over a pod that is killed, whose signals it asks for itself',
  async () => {
    const child = await followsTheFeed(SOCKETIO_PYTHON ?? '', 'python-client.py');
    expect(child.stdout).toContain('disconnected\n');
  },
);

test.skipIf(SOCKETIO_PYTHON === undefined)('examples/python-client.py reports a loss', async () => {
  const { one, door } = await twoPods();
  const lonely = await Pod.start(cleanup);
  const child = start(SOCKETIO_PYTHON ?? '', 'python-client.py', [door.url]);
  await until('a client', async () => (await one.metric('gateway_connections')) === 1, { seen: () => child.stderr });
  await one.post('/v1/signals', [signal(1)]);
  await prints(child, 'BTC/USDT');
  // A pod with another journal.
  door.cut();
  door.use(lonely);
  await prints(child, 'lost (epoch): from ');
  expect(child.stderr).toBe('');
});

test.skipIf(CURL === undefined)('examples/publish.sh publishes, with a key too, and says what was wrong', async () => {
  const keys = { API_KEY: 'secret,the-one-before' };
  const pod = await Pod.start(cleanup, keys);
  const client = await FeedClient.connect(cleanup, pod.url);
  const env = { GATEWAY_ADMIN: pod.adminUrl, ...keys };
  const good = await run('sh', 'publish.sh', ['SELL', '17.5'], env);
  expect(good).toEqual({ code: 0, out: expect.stringMatching(/^\{"offsets":\["[^"]+:1"\]\}$/) as string, error: '' });
  await until('the signal', () => client.signals.length > 0, { seen: () => client });
  expect(client.signals[0]?.[0]).toMatchObject({ signal: 'SELL', price: 17.5, symbol: 'BTC/USDT' });
  const bad = await run('sh', 'publish.sh', ['HOLD'], env);
  expect(bad.code).not.toBe(0);
  expect(bad.out).toContain('"code":"invalid_signal"');
  const refused = await run('sh', 'publish.sh', [], { ...env, API_KEY: '' });
  expect(refused.code).not.toBe(0);
  expect(refused.out).toContain('"code":"unauthorized"');
});

test.skipIf(PYTHON === undefined)('examples/publish.py publishes with a key too, and says what was wrong', async () => {
  const keys = { API_KEY: 'secret,the-one-before' };
  const pod = await Pod.start(cleanup, keys);
  const good = await run(PYTHON ?? '', 'publish.py', ['http', pod.adminUrl], keys);
  expect(good).toEqual({ code: 0, out: expect.stringMatching(/^\['[^']+:1'\]\n$/) as string, error: '' });
  const refused = await run(PYTHON ?? '', 'publish.py', ['http', pod.adminUrl], { API_KEY: '' });
  expect(refused).toEqual({
    code: 1,
    out: '',
    error: expect.stringMatching(/^The gateway answered 401: .+\n$/) as string,
  });
});

test.skipIf(PYTHON === undefined)('examples/publish.py publishes over HTTP and over Redis', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const client = await FeedClient.connect(cleanup, pod.url);
  const overHttp = await run(PYTHON ?? '', 'publish.py', ['http', pod.adminUrl]);
  expect([overHttp.code, overHttp.error]).toEqual([0, '']);
  await until('the bridge', async () => (await pod.metric('gateway_bridge_lease')) === 1);
  const overRedis = await run(PYTHON ?? '', 'publish.py', ['redis', '127.0.0.1', String(redis.port)]);
  expect([overRedis.code, overRedis.error, overRedis.out]).toEqual([0, '', 'subscribers: 1\n']);
  await until('both signals', () => client.signals.length === 2, { seen: () => client });
  expect(client.signals[1]?.[0]).toMatchObject({ signal: 'BUY', price: 162.5, symbol: 'BTC/USDT' });
  expect((await run(PYTHON ?? '', 'publish.py', ['carrier pigeon'])).code).toBe(1);
});

test('docs/clients.md shows every example as it is', () => {
  const doc = readFileSync(`${FOLDER}../docs/clients.md`, 'utf8');
  const blocks = [...doc.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
  const files = readdirSync(FOLDER);
  expect(files.length).toBeGreaterThan(5);
  expect(files.filter((file) => !doc.includes(`(../examples/${file})`))).toEqual([]);
  expect(files.filter((file) => !blocks.includes(readFileSync(FOLDER + file, 'utf8')))).toEqual([]);
});
