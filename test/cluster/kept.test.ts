import { expect } from 'vitest';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod, everyoneHas } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const KEPT = { JOURNAL_MIN_REPLICAS: '1' };
const JOURNAL = '{gateway}:journal';
const MISSING = 'too few replicas have what was published (JOURNAL_MIN_REPLICAS); answered 503 not_replicated';
const FEWER =
  'Redis has fewer replicas than JOURNAL_MIN_REPLICAS asks for; publishing over HTTP is answered 503 until they connect';

async function codeOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { code?: string }).code;
}

/** How often a command was called on a server. */
async function calls(server: RedisServer, command: string, cleanup: Cleanup): Promise<number> {
  const stats = await server.client(cleanup).info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'a signal that no replica has is answered 503; the same Idempotency-Key settles it on another pod, and clients get it once',
  async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup, ['--repl-diskless-sync-delay', '0']);
    const replica = await redis.replica(cleanup);
    const env = { REDIS_URL: redis.url, ...KEPT };
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, env)));
    const [one, two] = pods as [Pod, Pod];
    const clients = await Promise.all(pods.map((pod) => FeedClient.connect(cleanup, pod.url)));
    const key = { 'idempotency-key': 'settle-me' };
    expect((await one.post('/v1/signals', signal(1))).status).toBe(202);

    await replica.kill('SIGSTOP');
    const refused = await one.post('/v1/signals', signal(2), key);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await codeOf(refused)).toBe('not_replicated');
    const again = await two.post('/v1/signals', signal(2), key);
    expect(await codeOf(again)).toBe('not_replicated');
    expect(await one.metric('gateway_not_replicated_total')).toBe(1);
    expect(await one.metric('gateway_messages_accepted_total', { source: 'http' })).toBe(2);
    expect(await two.metric('gateway_messages_accepted_total', { source: 'http' })).toBe(0);
    expect(one.logs().filter(({ msg }) => msg === MISSING)).toMatchObject([{ replicas: 0, needed: 1, requests: 1 }]);
    // What came over Pub/Sub does not wait, and neither does the pod.
    await redis.client(cleanup).publish('new_signal', JSON.stringify(signal(3)));
    await everyoneHas(clients, 3);
    expect((await fetch(`${one.adminUrl}/readyz`)).status).toBe(200);

    await replica.kill('SIGCONT');
    const settled = await two.post('/v1/signals', signal(2), key);
    expect(settled.status).toBe(202);
    expect(settled.headers.get('idempotent-replayed')).toBe('true');
    expect(await redis.client(cleanup).xlen(JOURNAL)).toBe(3);
    expect(await replica.client(cleanup).xlen(JOURNAL)).toBe(3);
    expect(clients.map(({ signals }) => signals.map(([payload]) => (payload as { price: number }).price))).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  },
);

test.concurrent(
  'whatever was confirmed is on the new primary after the old one was killed in the middle',
  async ({ cleanup }) => {
    const redis = await RedisSentinel.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, ...KEPT });
    const old = await redis.master();
    const confirmed: string[] = [];
    const over = new AbortController();
    const producers = [1, 2, 3, 4].map(async (producer) => {
      for (let n = 0; !over.signal.aborted; n++) {
        const response = await pod.post('/v1/signals', signal(producer * 100_000 + n)).catch(() => undefined);
        if (response?.status !== 202) continue;
        confirmed.push(...((await response.json()) as { offsets: string[] }).offsets);
      }
    });
    await until('some to be confirmed', () => confirmed.length > 100);
    await old.kill();
    await until('the sentinels to agree on a new primary', async () => (await redis.master()) !== old, {
      limit: 60_000,
    });
    over.abort();
    await Promise.all(producers);
    const entries = await (await redis.master()).client(cleanup).xrange(JOURNAL, '-', '+');
    const there = new Set(
      entries.map(([id, fields]) => `${fields[fields.indexOf('epoch') + 1]}:${id.replace(/-.*/, '')}`),
    );
    expect(confirmed.length).toBeGreaterThan(100);
    expect(confirmed.filter((offset) => !there.has(offset))).toEqual([]);
  },
);

test.concurrent(
  'on a cluster, the replica of the node that has the journal is the one that counts',
  async ({ cleanup }) => {
    const redis = await RedisCluster.start(cleanup, 6, { replicas: 1 });
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, ...KEPT });
    // The replicas may not have their copy yet.
    await until('a signal to be confirmed', async () => (await pod.post('/v1/signals', signal(1))).status === 202);
    const [node] = redis.nodeClients(cleanup);
    const slot = Number(await node?.cluster('KEYSLOT', JOURNAL));
    const replica = await until('the node to know the replica', async () => {
      const slots = (await node?.cluster('SLOTS')) ?? [];
      const [, , , second] = slots.find(([from, to]) => from <= slot && slot <= to) ?? [];
      return redis.nodes.find(({ port }) => port === second?.[1]);
    });
    await replica.kill('SIGSTOP');
    expect(await codeOf(await pod.post('/v1/signals', signal(2)))).toBe('not_replicated');
    await replica.kill('SIGCONT');
    await until('a signal to be confirmed', async () => (await pod.post('/v1/signals', signal(3))).status === 202);
  },
);

test.concurrent(
  'a Redis with too few replicas is named at the start, and refused messages are in the feed nevertheless',
  async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, ...KEPT });
    const line = await until('the line', () => pod.logs().find(({ msg }) => msg === FEWER), { seen: () => pod.logs() });
    expect(line).toMatchObject({ level: 40, replicas: 0, needed: 1 });
    const client = await FeedClient.connect(cleanup, pod.url);
    expect(await codeOf(await pod.post('/v1/signals', signal(1)))).toBe('not_replicated');
    await everyoneHas([client], 1);
  },
);

test.concurrent('without JOURNAL_MIN_REPLICAS nobody waits for a replica', async ({ cleanup }) => {
  const redis = await RedisServer.start(cleanup, ['--repl-diskless-sync-delay', '0']);
  const replica = await redis.replica(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  await replica.kill('SIGSTOP');
  const key = { 'idempotency-key': 'one' };
  for (const repeated of [null, 'true']) {
    const response = await pod.post('/v1/signals', signal(1), key);
    expect([response.status, response.headers.get('idempotent-replayed')]).toEqual([202, repeated]);
  }
  expect(await calls(redis, 'wait', cleanup)).toBe(0);
});
