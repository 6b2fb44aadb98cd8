import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { FrontDoor } from '../support/front-door.js';
import { readJournal } from '../support/journal-reader.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const CLIENTS = 300;
const SECONDS = 60;
const RATE = 100;

test(
  'nothing is lost, doubled or out of order for 300 clients while pods are killed and every link is cut again and again',
  { timeout: 400_000 },
  async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url };
    const pods: Pod[] = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, env)));
    const doors: FrontDoor[] = [];
    const clients: CheckedClient[] = [];
    for (let i = 0; i < CLIENTS; i++) {
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
            await sleep(5000 + Math.random() * 10_000);
            if (running.now) door.cut();
          }
        })(),
      );
    }
    let kills = 0;
    chores.push(
      (async () => {
        for (let second = 10; second < SECONDS; second += 10) {
          await sleep(10_000);
          const victim = pods.splice(Math.floor(Math.random() * pods.length), 1)[0];
          await victim?.child.kill('SIGKILL');
          kills++;
          pods.push(await Pod.start(cleanup, env));
        }
      })(),
    );

    const producer = redis.client(cleanup);
    const begin = performance.now();
    const sent: number[] = [];
    const published: Promise<number>[] = [];
    for (let n = 0; n < SECONDS * RATE; n++) {
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
    const result = summary(clients);
    expect({ ...result, bad: result.bad.map((c) => c.toJSON()) }).toMatchObject({
      faults: { lost: 0, twice: 0, outOfOrder: 0 },
      gaps: 0,
      recovered: result.reconnects,
      bad: [],
    });
    expect(kills).toBe(5);
    expect(result.reconnects).toBeGreaterThan(CLIENTS * 3);
    const byOffset = new Map(
      journal.map(({ offset, json }) => [offset, String((JSON.parse(json) as { price: number }).price)]),
    );
    for (const client of clients) {
      for (const [offset, key] of client.got) expect(key).toBe(byOffset.get(offset));
    }
  },
);
