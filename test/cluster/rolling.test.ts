import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { Fleet } from '../support/fleet.js';
import { HAS_HAPROXY, HaProxy } from '../support/haproxy.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const CLIENTS = 300;
const RATE = 50;

/**
 * Runs a change of the fleet behind HAProxy under load.
 *
 * @param from - pods to begin with
 * @returns how often each client had to connect again
 */
async function underLoad(from: number, change: (fleet: Fleet) => Promise<void>): Promise<number[]> {
  const redis = await RedisServer.start(cleanup);
  const proxy = await HaProxy.start(cleanup, 4);
  const fleet = new Fleet(cleanup, proxy, { REDIS_URL: redis.url, DRAIN_DELAY_SECONDS: '1', DRAIN_SECONDS: '4' });
  await fleet.scaleUp(from);
  await fleet.bridged();
  const clients = Array.from(
    { length: CLIENTS },
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
  await change(fleet);
  await sleep(1000);
  running.now = false;
  await publishing;
  const isComplete = (client: CheckedClient): boolean => client.got.size === sent.length;
  await until('every client to be complete', () => clients.every(isComplete), {
    seen: () => clients.filter((c) => !isComplete(c)).slice(0, 10),
    limit: 60_000,
  });
  const result = summary(clients);
  expect({ ...result, bad: result.bad.map((c) => c.toJSON()) }).toMatchObject({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    recovered: result.reconnects,
    bad: [],
  });
  for (const client of clients) expect([...client.got.values()]).toEqual(sent);
  return clients.map(({ reconnects }) => reconnects.length);
}

describe.skipIf(!HAS_HAPROXY)(`behind HAProxy, for ${CLIENTS} clients with ${RATE} signals a second`, () => {
  test('a rolling restart of 3 pods loses, doubles and disorders nothing', { timeout: 240_000 }, async () => {
    const reconnects = await underLoad(3, (fleet) => fleet.roll());
    expect(Math.min(...reconnects)).toBeGreaterThanOrEqual(1);
  });

  test('2 pods becoming 4 and 2 again lose, double and disorder nothing', { timeout: 240_000 }, async () => {
    const reconnects = await underLoad(2, async (fleet) => {
      await fleet.scaleUp(4);
      await sleep(1000);
      await fleet.scaleDown(2);
    });
    expect(Math.min(...reconnects)).toBeGreaterThanOrEqual(1);
  });
});
