import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { CheckedClient, summary } from './checked-client.js';
import { FrontDoor } from './front-door.js';
import { readJournal } from './journal-reader.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { RedisServer } from './redis.js';
import { signal } from './signals.js';
import { until } from './until.js';

const SECONDS = 12;
/** Signals a second. */
const RATE = 500;

function keyOf(payload: unknown): string {
  return String((payload as { price: number }).price);
}

/** Publishes to clients that read at random speeds, some of them stopped for seconds, and checks what every one got. */
export async function expectSlowReadersComplete(cleanup: Cleanup, clientCount: number): Promise<void> {
  const signals = SECONDS * RATE;
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all(
    [1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url, MAX_BACKPRESSURE: '32768' })),
  );
  const doors: FrontDoor[] = [];
  const clients: CheckedClient[] = [];
  for (let i = 0; i < clientCount; i++) {
    const door = await FrontDoor.open(cleanup, pods);
    doors.push(door);
    clients.push(new CheckedClient(cleanup, door.url, { transports: ['websocket'] }, keyOf));
  }
  await until('all clients to be connected', () => clients.every((c) => c.last !== undefined), {
    seen: () => clients,
  });

  const running = { now: true };
  const readers = doors.map(async (door, i) => {
    const isStopped = i % 4 === 0;
    while (running.now) {
      door.pause();
      // A signal is 1.6 kB: a kernel may take the 4 MB of five seconds before the pod has anything to buffer.
      await sleep(isStopped ? 5000 + Math.random() * 4000 : Math.random() * 200);
      door.resume();
      await sleep(Math.random() * 500);
    }
    door.resume();
  });
  const producer = redis.client(cleanup);
  const begin = performance.now();
  const filler = 'x'.repeat(1500);
  for (let n = 0; n < signals; n++) {
    const wait = begin + (n * 1000) / RATE - performance.now();
    if (wait > 1) await sleep(wait);
    // Not waited for one by one: the producer keeps its rate whatever this process has to do.
    void producer.publish('new_signal', JSON.stringify(signal(n, { filler })));
  }
  running.now = false;
  await Promise.all(readers);
  await until('every client to be complete', () => clients.every((c) => c.got.size === signals), {
    limit: 150_000,
    seen: () => clients.filter((c) => c.got.size !== signals),
  });
  const result = summary(clients);
  expect({ ...result, bad: result.bad.map((c) => c.toJSON()) }).toMatchObject({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    recovered: result.reconnects,
  });
  const journal = (await readJournal(producer)).map(({ offset, json }) => [offset, keyOf(JSON.parse(json))]);
  expect(journal).toHaveLength(signals);
  for (const client of clients) expect([...client.got]).toEqual(journal);
  expect(result.reconnects).toBe(0);
  for (const pod of pods) expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
}
