import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import { expect } from 'vitest';
import { expectAllRecovered } from './all-recovered.js';
import { CheckedClient } from './checked-client.js';
import { FrontDoor } from './front-door.js';
import { readJournal } from './journal-reader.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { RedisServer } from './redis.js';
import { signal } from './signals.js';
import { until } from './until.js';

/** Signals a second, of all producers together. */
const RATE = 200;
const PRODUCERS = ['A', 'B', 'C'];

/** What happens to pods and Redis while producers add to a source stream. */
export interface SourceChaosPlan {
  /** How often the pod that reads the stream is killed; each is replaced. */
  readonly kills: number;
  readonly killEveryMs: number;
  /** How long no pod runs at all. */
  readonly downMs: number;
  readonly clients: number;
}

/** The pod that reads the source streams. */
export async function sourceHolder(pods: readonly Pod[]): Promise<Pod> {
  return until('a pod to hold the lease', async () => {
    for (const pod of pods) if (!pod.child.exited && (await pod.metric('gateway_bridge_lease')) === 1) return pod;
    return undefined;
  });
}

/** What a source stream has, in order. */
export async function sourceTexts(redis: Redis | Cluster, stream: string): Promise<string[]> {
  return (await redis.xrange(stream, '-', '+')).map(([, [, json = '']]) => json);
}

/** Adds numbered signals at a steady rate until told to stop, one after the other; what fails is not added again. */
export async function addSteadily(
  redis: Redis | Cluster,
  { symbol, everyMs, running }: { symbol: string; everyMs: number; running: { now: boolean } },
): Promise<void> {
  const begin = performance.now();
  for (let n = 0; running.now; n++) {
    const wait = begin + n * everyMs - performance.now();
    if (wait > 1) await sleep(wait);
    await redis.xadd('signals', '*', 'json', JSON.stringify(signal(n, { symbol }))).catch(() => {});
  }
}

/**
 * Adds to a source stream while pods are killed, none runs, and Redis restarts; then expects the journal to have what the
 * stream has, in its order, and every client all of it.
 */
export async function expectSourceCarried(cleanup: Cleanup, plan: SourceChaosPlan): Promise<void> {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const env = { REDIS_URL: redis.url, SIGNAL_STREAM: 'signals' };
  const pods = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, env)));
  const clients: CheckedClient[] = [];
  for (let i = 0; i < plan.clients; i++) {
    const door = await FrontDoor.open(cleanup, pods);
    clients.push(new CheckedClient(cleanup, door.url, { transports: ['websocket'] }));
  }
  await until('all clients to be connected', () => clients.every(({ last }) => last !== undefined), {
    seen: () => clients,
  });

  const running = { now: true };
  const everyMs = (1000 * PRODUCERS.length) / RATE;
  const producers = PRODUCERS.map((symbol) => addSteadily(redis.client(cleanup), { symbol, everyMs, running }));
  for (let kill = 0; kill < plan.kills; kill++) {
    await sleep(plan.killEveryMs);
    const victim = await sourceHolder(pods);
    pods.splice(pods.indexOf(victim), 1);
    await victim.child.kill('SIGKILL');
    pods.push(await Pod.start(cleanup, env));
  }
  await Promise.all(pods.splice(0).map((pod) => pod.child.kill('SIGKILL')));
  await sleep(plan.downMs);
  pods.push(...(await Promise.all([1, 2].map(() => Pod.start(cleanup, env)))));
  await sleep(plan.killEveryMs);
  await redis.restart();
  await sleep(plan.killEveryMs);
  running.now = false;
  await Promise.all(producers);

  const admin = redis.client(cleanup);
  const added = await sourceTexts(admin, 'signals');
  const journal = await until(
    'every entry of the stream to be in the journal',
    async () => {
      const entries = await readJournal(admin);
      return entries.length >= added.length && entries;
    },
    { limit: 60_000, seen: () => ({ added: added.length, logs: pods.flatMap((pod) => pod.logs().slice(-5)) }) },
  );
  // One stream, so the order of all is the order of each producer too.
  expect(journal.map(({ json }) => json)).toEqual(added);
  const seconds = (plan.killEveryMs * (plan.kills + 2) + plan.downMs) / 1000;
  expect(added.length).toBeGreaterThan((RATE * seconds) / 2);
  const end = journal.at(-1)?.seq;
  await until('every client to be at the end of the journal', () => clients.every(({ last }) => last?.seq === end), {
    limit: 60_000,
    seen: () => clients,
  });
  expectAllRecovered(clients);
  for (const client of clients) expect([...client.got.values()]).toEqual(added);
  for (const pod of pods) expect(pod.faults()).toEqual([]);
}
