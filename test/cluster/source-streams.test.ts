import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { readJournal } from '../support/journal-reader.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod } from '../support/pod.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { addSteadily, expectSourceCarried, sourceHolder, sourceTexts } from '../support/source-chaos.js';
import { until } from '../support/until.js';

function pricesOf(texts: readonly string[]): number[] {
  return texts.map((json) => (JSON.parse(json) as { price: number }).price);
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'what three producers add to a stream reaches every client once and in order while pods are killed, none runs, and Redis restarts',
  ({ cleanup }) => expectSourceCarried(cleanup, { kills: 2, killEveryMs: 1000, downMs: 1500, clients: 6 }),
  180_000,
);

test.concurrent(
  'a failover loses the same of the stream and of the journal, and nothing is carried twice',
  async ({ cleanup }) => {
    const redis = await RedisSentinel.start(cleanup, { replicas: 2 });
    const env = { REDIS_URL: redis.url, SIGNAL_STREAM: 'signals' };
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, env)));
    const producer = redis.client(cleanup);
    await until('the producer to reach the master', () => producer.ping());
    const running = { now: true };
    const adding = addSteadily(producer, { symbol: 'A', everyMs: 5, running });
    await sleep(1000);
    const master = await redis.master();
    await master.kill();
    await until('another master', async () => (await redis.master()).port !== master.port, { limit: 60_000 });
    await Promise.all(pods.map((pod) => pod.ready()));
    await sleep(500);
    running.now = false;
    await adding;

    const admin = (await redis.master()).client(cleanup);
    const added = await sourceTexts(admin, 'signals');
    const journal = await until('the stream to be carried', async () => {
      const entries = await readJournal(admin);
      return entries.at(-1)?.json === added.at(-1) && entries;
    });
    expect(journal.map(({ json }) => json)).toEqual(added);
    expect(pricesOf(added)).toEqual([...new Set(pricesOf(added))].toSorted((a, b) => a - b));
    expect(pricesOf(added).length).toBeGreaterThan(200);
  },
  180_000,
);

test.concurrent(
  'streams on other nodes of a cluster than the journal are carried, signals and statuses, even if their reader is killed',
  async ({ cleanup }) => {
    const redis = await RedisCluster.start(cleanup);
    const client = redis.client(cleanup);
    const slots = await Promise.all(
      ['signals', 'statuses', '{gateway}:journal'].map((key) => client.cluster('KEYSLOT', key)),
    );
    // One node each: the slots are shared out in thirds.
    expect(new Set(slots.map((slot) => Math.floor(slot / 5462))).size).toBe(3);
    const env = { REDIS_URL: redis.url, SIGNAL_STREAM: 'signals', STATUS_STREAM: 'statuses' };
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, env)));
    const add = async (from: number, to: number): Promise<void> => {
      for (let price = from; price < to; price++) {
        await client.xadd('signals', '*', 'json', JSON.stringify(signal(price)));
        if (price % 10 === 0)
          await client.xadd('statuses', '*', 'json', JSON.stringify(status('active', { service: `S${price}` })));
      }
    };
    await add(0, 200);
    const victim = await sourceHolder(pods);
    await victim.child.kill('SIGKILL');
    const left = pods.find((pod) => pod !== victim) ?? victim;
    const listener = await FeedClient.connect(cleanup, left.url);
    await add(200, 400);
    const journal = await until('everything to be in the journal', async () => {
      const entries = await client.xrange('{gateway}:journal', '-', '+');
      return entries.length >= 440 && entries.map(([, [, event = '', , json = '']]) => ({ event, json }));
    });
    const of = (event: string): string[] => journal.filter((one) => one.event === event).map(({ json }) => json);
    expect(pricesOf(of('new_signal'))).toEqual(Array.from({ length: 400 }, (_, i) => i));
    expect(of('status_update')).toEqual(await sourceTexts(client, 'statuses'));
    await until('the last signal', () => (listener.signals.at(-1)?.[0] as { price: number })?.price === 399);
  },
  180_000,
);

test.concurrent(
  'a stream that cannot be read makes every pod not ready and its clients degraded, with the reason, until it can',
  async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, SIGNAL_STREAM: 'signals', STATUS_STREAM: 'statuses' };
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, env)));
    const clients = await Promise.all(pods.map((pod) => FeedClient.connect(cleanup, pod.url)));
    const admin = redis.client(cleanup);
    await admin.set('signals', 'a string');
    await Promise.all(pods.map((pod) => pod.notReady('redis')));
    await until('the clients to be told', () => clients.every(({ statuses }) => statuses.length === 1));
    for (const pod of pods) {
      const line = await until('the reason in the log', () => pod.logs().find(({ aspect }) => aspect === 'sources'), {
        seen: () => pod.output(),
      });
      expect(line).toMatchObject({ level: 40, cause: 'wrong_type', msg: expect.stringContaining('source streams') });
    }
    await admin.del('signals');
    await Promise.all(pods.map((pod) => pod.ready()));
    await until('the clients to be told', () => clients.every(({ statuses }) => statuses.length === 2));
    await admin.xadd('signals', '*', 'json', JSON.stringify(signal(1)));
    await until('the signal', () => clients.every(({ signals }) => signals.length === 1));
    expect(clients.map(({ statuses }) => statuses.map(([one]) => (one as { status: string }).status))).toEqual([
      ['degraded', 'active'],
      ['degraded', 'active'],
    ]);
  },
  60_000,
);
