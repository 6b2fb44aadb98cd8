import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { Pod } from '../../support/pod.js';
import { Child, Cleanup, HOST, freePort } from '../../support/processes.js';
import { signal } from '../../support/signals.js';
import { TcpForwarder } from '../../support/tcp-forwarder.js';
import { until } from '../../support/until.js';

// python-engineio refuses an answer to a poll of more than 16 packets, and no other client that is tried here has a limit.

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SCRIPT = fileURLToPath(new URL('../../support/python-polling-client.py', import.meta.url));

/** The first Python that has what a kind of client needs. */
function pythonWith(modules: string): string | undefined {
  return ['python3', '/usr/bin/python3'].find(
    (python) => spawnSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0,
  );
}

const KINDS = [
  { kind: 'async', modules: 'socketio, aiohttp' },
  { kind: 'sync', modules: 'socketio, requests' },
] as const;

function lines(client: Child, word: string): string[] {
  return client.stdout.split('\n').filter((line) => line.split(' ')[0] === word);
}

function prices(client: Child): number[] {
  return lines(client, 'signal').map((line) => Number(line.split(' ')[1]));
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

async function publish(pod: Pod, from: number, to: number): Promise<void> {
  const batch = upTo(to - from).map((i) => signal(from + i));
  expect((await pod.post('/v1/signals', batch)).status).toBe(202);
}

describe.each(KINDS)('python-socketio ($kind) on long-polling alone', ({ kind, modules }) => {
  const python = pythonWith(modules);

  test.skipIf(python === undefined)('gets a batch of 300, and 1,000 that it has missed', async () => {
    const pod = await Pod.start(cleanup);
    const link = await TcpForwarder.open(cleanup, pod.port);
    const client = cleanup.add(
      new Child(python ?? '', [SCRIPT, `http://${HOST}:${link.port}`, kind], { PYTHONWARNINGS: 'ignore' }),
      (child) => child.kill(),
    );
    const seen = { seen: () => client.stdout.slice(-500) + client.stderr, limit: 30_000 };
    await until('it to be welcomed', () => lines(client, 'welcome').length === 1, seen);
    await publish(pod, 0, 300);
    await until('the batch', () => prices(client).length >= 300, seen);
    expect(lines(client, 'connect')).toEqual(['connect polling']);

    link.leadTo(await freePort());
    await until('it to notice', () => lines(client, 'disconnect').length > 0, seen);
    await publish(pod, 300, 1300);
    link.leadTo(pod.port);
    await until('what it has missed', () => prices(client).length >= 1300, seen);
    await publish(pod, 1300, 1310);
    await until('what is published then', () => prices(client).length >= 1310, seen);

    const got = prices(client);
    // The client without asyncio runs a thread for each event, which may overtake each other.
    expect(kind === 'async' ? got : got.toSorted((a, b) => a - b)).toEqual(upTo(1310));
    expect(lines(client, 'gap')).toEqual([]);
    expect(lines(client, 'connect')).toHaveLength(2);
    expect(await pod.metric('gateway_recoveries_total', { result: 'recovered' })).toBe(1);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });
});
