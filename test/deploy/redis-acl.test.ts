import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, Redis } from 'ioredis';
import { expect } from 'vitest';
import { ROOT } from '../support/manifests.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

/** The lines of users in docs/operations.md: for servers, for nodes of a cluster, for sentinels. */
function lines(): string[] {
  const docs = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  return [...docs.matchAll(/^user (gateway on >PASSWORD .*)$/gm)].map(([, rights = '']) => rights);
}

interface Kind {
  /** `REDIS_URL` with the user. */
  readonly env: Readonly<Record<string, string>>;
  /** Every server, with all rights. */
  readonly servers: readonly Redis[];
  readonly producer: Redis | Cluster;
}

async function give(servers: readonly Redis[], rights: string): Promise<void> {
  for (const server of servers) await server.call('ACL', 'SETUSER', ...rights.split(' '));
}

async function single(cleanup: Cleanup): Promise<Kind> {
  const redis = await RedisServer.start(cleanup);
  const admin = redis.client(cleanup);
  await give([admin], lines()[0] ?? '');
  return { env: { REDIS_URL: redis.url.replace('//', '//gateway:PASSWORD@') }, servers: [admin], producer: admin };
}

async function sentinel(cleanup: Cleanup): Promise<Kind> {
  const redis = await RedisSentinel.start(cleanup);
  const servers = redis.servers.map((server) => server.client(cleanup));
  await give(servers, lines()[0] ?? '');
  const sentinels = redis.sentinelClients(cleanup);
  await give(sentinels, lines()[2] ?? '');
  const env = {
    REDIS_URL: redis.url.replace('//', '//gateway:PASSWORD@'),
    REDIS_SENTINEL_USER: 'gateway',
    REDIS_SENTINEL_PASSWORD: 'PASSWORD',
  };
  return { env, servers: [...servers, ...sentinels], producer: redis.client(cleanup) };
}

async function cluster(cleanup: Cleanup): Promise<Kind> {
  const redis = await RedisCluster.start(cleanup);
  const servers = redis.nodeClients(cleanup);
  await give(servers, lines()[1] ?? '');
  const env = { REDIS_URL: redis.url.replace('//', '//gateway:PASSWORD@') };
  return { env, servers, producer: redis.client(cleanup) };
}

const KINDS = [
  ['one server', single],
  ['servers behind sentinels, and the sentinels', sentinel],
  ['a cluster', cluster],
] as const;

for (const [kind, start] of KINDS) {
  test.concurrent(
    `the rights that docs/operations.md gives to the user for ${kind} are enough for all that a gateway does`,
    async ({ cleanup }) => {
      const all = await start(cleanup);
      await useAll(cleanup, all);
      await looksClosed(all);
    },
    90_000,
  );
}

/** Nothing was refused, and foreign keys are out of reach. */
async function looksClosed({ servers }: Kind): Promise<void> {
  for (const server of servers) expect(await server.call('ACL', 'LOG')).toEqual([]);
  const [server] = servers;
  await expect(server?.call('ACL', 'DRYRUN', 'gateway', 'get', 'foreign')).resolves.toContain('no permissions');
  await expect(server?.call('ACL', 'DRYRUN', 'gateway', 'flushall')).resolves.toContain('no permissions');
}

/** Everything that two gateways do: both channels, a take-over, the API, topics, a client that changes pods. */
async function useAll(cleanup: Cleanup, { env, producer }: Kind): Promise<void> {
  await until('the producer to reach Redis', () => producer.status === 'ready');
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, env)));
  const clients = await Promise.all(pods.map(({ url }) => FeedClient.connect(cleanup, url)));
  await producer.publish('status_update', JSON.stringify(status()));
  await producer.publish('new_signal', 'rubbish');
  await producer.publish('new_signal', JSON.stringify(signal(1)));
  await until('the first signal', () => clients.every(({ signals }) => signals.length === 1), {
    seen: () => [clients.map(({ signals }) => signals), pods.map((pod) => pod.output())],
  });
  // The bridge changes hands, and the client of the one pod comes to the other.
  const [first, second] = pods;
  const [away, stays] = clients;
  if (first === undefined || second === undefined || away === undefined || stays === undefined) throw new Error();
  const { symbol } = signal(1);
  const answer: unknown = await stays.socket.timeout(30_000).emitWithAck('subscribe', [symbol]);
  expect(answer).toMatchObject({ ok: true });
  await first.child.kill('SIGKILL');
  const moved = await FeedClient.connect(cleanup, second.url);
  await producer.publish('new_signal', JSON.stringify(signal(2)));
  await until('the second signal', () => stays.signals.length === 2 && moved.signals.length > 0, {
    seen: () => [clients, moved],
  });
  for (const expected of [202, 202])
    expect((await second.post('/v1/signals', signal(3), { 'Idempotency-Key': 'once' })).status).toBe(expected);
  expect((await fetch(`${second.adminUrl}/v1/info`)).status).toBe(200);
  expect((await second.post('/v1/disconnect', { sid: moved.socket.id })).status).toBe(200);
  const { entries } = (await (await fetch(`${second.adminUrl}/v1/signals`)).json()) as {
    entries: { offset: string }[];
  };
  for (const { offset } of entries) {
    const url = `${second.adminUrl}/v1/entries/${offset}?reason=wrong`;
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(200);
  }
  expect(await producer.llen('{gateway}:rejected')).toBeGreaterThan(0);
}
