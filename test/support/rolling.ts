import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { expectAllRecovered } from './all-recovered.js';
import { CheckedClient, summary } from './checked-client.js';
import { Fleet } from './fleet.js';
import { HAS_HAPROXY, HaProxy } from './haproxy.js';
import { Cleanup } from './processes.js';
import { RedisServer } from './redis.js';
import { signal } from './signals.js';
import { until } from './until.js';

/** Signals a second. */
const RATE = 50;

interface RollPlan {
  readonly clients: number;
  /** Pods to begin with. */
  readonly pods: number;
  readonly drainSeconds: number;
  change(fleet: Fleet): Promise<void>;
}

/** Changes a fleet behind HAProxy while signals are published, and checks that every client got each of them once. */
async function expectCompleteWhileRolling(cleanup: Cleanup, plan: RollPlan): Promise<void> {
  const redis = await RedisServer.start(cleanup);
  const proxy = await HaProxy.start(cleanup, 4);
  const fleet = new Fleet(cleanup, proxy, {
    REDIS_URL: redis.url,
    DRAIN_DELAY_SECONDS: '1',
    DRAIN_SECONDS: String(plan.drainSeconds),
  });
  await fleet.scaleUp(plan.pods);
  await fleet.bridged();
  const clients = Array.from(
    { length: plan.clients },
    (_, i) =>
      // One in ten over long-polling; it needs the load balancer's cookie to come to its pod.
      new CheckedClient(
        cleanup,
        proxy.url,
        i % 10 === 0 ? { transports: ['polling'], withCredentials: true } : { transports: ['websocket'] },
        (payload) => String((payload as { price: number }).price),
      ),
  );
  await until('all clients to be connected', () => clients.every((c) => c.last !== undefined), {
    seen: () => summary(clients),
    limit: 60_000,
  });
  const running = { now: true };
  const sent: string[] = [];
  const published: Promise<number>[] = [];
  const publishing = (async () => {
    const producer = redis.client(cleanup);
    const begin = performance.now();
    while (running.now) {
      const wait = begin + (sent.length * 1000) / RATE - performance.now();
      if (wait > 1) await sleep(wait);
      published.push(producer.publish('new_signal', JSON.stringify(signal(sent.length))));
      sent.push(String(sent.length));
    }
    await Promise.all(published);
  })();
  await sleep(1000);
  await plan.change(fleet);
  await sleep(1000);
  running.now = false;
  await publishing;
  const isComplete = (client: CheckedClient): boolean => client.got.size === sent.length;
  await until('every client to be complete', () => clients.every(isComplete), {
    seen: () => clients.filter((c) => !isComplete(c)).slice(0, 10),
    limit: 60_000,
  });
  expectAllRecovered(clients);
  for (const client of clients) expect([...client.got.values()]).toEqual(sent);
  // Each was on a pod that went away.
  expect(Math.min(...clients.map(({ reconnects }) => reconnects.length))).toBeGreaterThanOrEqual(1);
}

/** The tests of a rolling restart and of a change of scale, for so many clients. */
export function rollingTests(plan: { readonly clients: number; readonly drainSeconds: number }): void {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  describe.skipIf(!HAS_HAPROXY)(`behind HAProxy, for ${plan.clients} clients,`, () => {
    test('a rolling restart of 3 pods loses, duplicates and reorders nothing', { timeout: 240_000 }, () =>
      expectCompleteWhileRolling(cleanup, { ...plan, pods: 3, change: (fleet) => fleet.roll() }),
    );

    test('2 pods becoming 4 and 2 again lose, duplicate and reorder nothing', { timeout: 240_000 }, () =>
      expectCompleteWhileRolling(cleanup, {
        ...plan,
        pods: 2,
        change: async (fleet) => {
          await fleet.scaleUp(4);
          await sleep(1000);
          await fleet.scaleDown(2);
        },
      }),
    );
  });
}
