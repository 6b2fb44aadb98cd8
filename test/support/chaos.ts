import { setTimeout as sleep } from 'node:timers/promises';
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

/** Signals a second. */
const RATE = 100;

export interface ChaosPlan {
  readonly clients: number;
  /** Pods that are killed, one after the other; each is replaced. */
  readonly kills: number;
  readonly killEveryMs: number;
  /** How long each client's link holds, on average. */
  readonly cutEveryMs: number;
}

/** Publishes into three pods while they are killed and links are cut, and checks what every client got. */
export async function expectCompleteInChaos(cleanup: Cleanup, plan: ChaosPlan): Promise<void> {
  const seconds = ((plan.kills + 1) * plan.killEveryMs) / 1000;
  const redis = await RedisServer.start(cleanup);
  const env = { REDIS_URL: redis.url };
  const pods: Pod[] = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, env)));
  const doors: FrontDoor[] = [];
  const clients: CheckedClient[] = [];
  for (let i = 0; i < plan.clients; i++) {
    const door = await FrontDoor.open(cleanup, pods);
    doors.push(door);
    // One in ten over long-polling, which costs this test much more.
    const transports = i % 10 === 0 ? ['polling'] : ['websocket'];
    clients.push(
      new CheckedClient(cleanup, door.url, { transports }, (payload) => String((payload as { price: number }).price)),
    );
  }
  await until('all clients to be connected', () => clients.every((c) => c.socket.connected), {
    limit: 90_000,
    seen: () => clients,
  });

  const running = { now: true };
  const chores: Promise<unknown>[] = [];
  for (const door of doors) {
    chores.push(
      (async () => {
        while (running.now) {
          await sleep(plan.cutEveryMs * (0.5 + Math.random()));
          if (running.now) door.cut();
        }
      })(),
    );
  }
  chores.push(
    (async () => {
      for (let kill = 0; kill < plan.kills; kill++) {
        await sleep(plan.killEveryMs);
        const victim = pods.splice(Math.floor(Math.random() * pods.length), 1)[0];
        await victim?.child.kill('SIGKILL');
        pods.push(await Pod.start(cleanup, env));
      }
    })(),
  );

  const producer = redis.client(cleanup);
  const begin = performance.now();
  const sent: number[] = [];
  const published: Promise<number>[] = [];
  for (let n = 0; n < seconds * RATE; n++) {
    const wait = begin + (n * 1000) / RATE - performance.now();
    if (wait > 1) await sleep(wait);
    // Not waited for one by one: the producer keeps its rate whatever this process has to do.
    published.push(producer.publish('new_signal', JSON.stringify(signal(n))));
    sent.push(n);
  }
  running.now = false;
  await Promise.all(published);
  await Promise.all(chores);

  const journal = await until(
    'every message to be in the journal',
    async () => {
      const entries = await readJournal(producer);
      return entries.length >= sent.length && entries;
    },
    { limit: 60_000 },
  );
  expect(journal.map(({ json }) => (JSON.parse(json) as { price: number }).price)).toEqual(sent);
  const end = journal.at(-1)?.seq;
  await until('every client to be at the end of the journal', () => clients.every((c) => c.last?.seq === end), {
    limit: 90_000,
    seen: () => clients.filter((c) => c.last?.seq !== end),
  });
  const result = expectAllRecovered(clients);
  // Each client is cut off so often on average, and by the kills too.
  expect(result.reconnects).toBeGreaterThan((plan.clients * seconds * 1000 * 0.75) / plan.cutEveryMs);
  const byOffset = new Map(
    journal.map(({ offset, json }) => [offset, String((JSON.parse(json) as { price: number }).price)]),
  );
  for (const client of clients) {
    for (const [offset, key] of client.got) expect(key).toBe(byOffset.get(offset));
  }
}
