import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { FeedClient, Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import type { RedisCluster } from './redis-cluster.js';
import { RedisServer } from './redis.js';
import { signal } from './signals.js';
import { until } from './until.js';

/** One Redis, one pod with a client, and somebody who may do all to the Redis. */
export interface World {
  readonly redis: RedisServer;
  readonly pod: Pod;
  readonly client: FeedClient;
  readonly admin: Redis;
  /** A second connection, for what does not return. */
  readonly busy: Redis;
}

/** A state that Redis can get into, and what is to be seen of it. */
export interface RedisStateCase {
  readonly name: string;
  readonly aspect: 'read' | 'heard' | 'append';
  readonly cause: string;
  /** What clients are told, in words. */
  readonly words: RegExp;
  begin(world: World): Promise<unknown>;
  end(world: World): Promise<unknown>;
  /** The subscription does not hear what is published meanwhile. */
  readonly isDeaf?: boolean;
  /** Appends still work. */
  readonly appends?: boolean;
  /** It lasts until what was published at its beginning is given up. */
  readonly outlasts?: boolean;
}

/** What was seen of a state. All that is the same for every state is in {@link AS_PROMISED}. */
export interface Seen {
  /** What the clients were told, from its beginning to its end. */
  readonly told: readonly unknown[];
  readonly words: string;
  /** While it lasted. */
  readonly readyz: readonly [number, readonly string[]];
  /** Warnings with this cause, while it lasted. */
  readonly warnings: number;
  readonly metric: number;
  readonly redisUp: number;
  /** The lease gauge says 1 though the pod does not hold it. */
  readonly falseLease: boolean;
  /** Messages of Pub/Sub that were given up, and counted. */
  readonly givenUp: number;
  /** Afterwards: answers to a POST, prices that arrived and should not have or the other way round. */
  readonly posted: number;
  readonly arrived: readonly number[];
  readonly metricAfter: number;
}

/** The user with all rights that the pod connects as. */
export const USER = ['ACL', 'SETUSER', 'gateway', 'on', '>old', '~*', '&*', '+@all'] as const;

let price = 0;

/** Starts a world; the pod connects as the user `gateway`. */
export async function world(cleanup: Cleanup, args: readonly string[] = []): Promise<World> {
  const redis = await RedisServer.start(cleanup, args);
  const admin = redis.client(cleanup);
  const [command, ...rest] = USER;
  await admin.call(command, ...rest);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url.replace('//', '//gateway:old@') });
  await leased(pod);
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  return { redis, pod, client, admin, busy: redis.client(cleanup) };
}

/** The same on a cluster. */
export async function clusterWorld(cleanup: Cleanup, cluster: RedisCluster): Promise<World> {
  const pod = await Pod.start(cleanup, { REDIS_URL: cluster.url });
  await leased(pod);
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const [redis] = cluster.nodes;
  if (redis === undefined) throw new Error('a cluster without nodes');
  // It has the same commands, and sends each to the node of its key.
  const admin = cluster.client(cleanup) as unknown as Redis;
  return { redis, pod, client, admin, busy: admin };
}

/** Waits until the pod holds the lease. */
export async function leased(pod: Pod): Promise<void> {
  await until('the pod to hold the lease', async () => (await pod.metric('gateway_bridge_lease')) === 1, {
    seen: () => pod.output(),
    limit: 60_000,
  });
}

/** Ends a connection of the pod. */
export async function cut({ admin }: Pick<World, 'admin'>, purpose: string): Promise<void> {
  const lines = String(await admin.client('LIST')).split('\n');
  for (const line of lines.filter((one) => one.includes(`:${purpose} `)))
    await admin.client('KILL', 'ID', /^id=(\d+)/.exec(line)?.[1] ?? '');
}

/** Makes snapshots fail from now on: Redis then refuses writes, and answers pings with an error. */
export async function failSnapshots({ admin }: World): Promise<void> {
  const [, dir] = (await admin.config('GET', 'dir')) as [string, string];
  mkdirSync(join(dir, 'dump.rdb'), { recursive: true });
  await admin.config('SET', 'save', '1 1');
  // Redis may have begun one by itself.
  await admin.bgsave().catch(() => {});
  await until('the snapshot to fail', async () => /rdb_last_bgsave_status:err/.test(await admin.info('persistence')));
}

interface Readiness {
  readonly reasons: readonly string[];
  readonly causes?: readonly { readonly aspect: string; readonly code: string }[];
}

async function readyz(pod: Pod): Promise<[number, readonly string[]]> {
  const answer = await fetch(`${pod.adminUrl}/readyz`);
  const { causes = [] } = (await answer.json()) as Readiness;
  return [answer.status, causes.map(({ aspect, code }) => `${aspect} ${code}`)];
}

function pricesOf(client: FeedClient): number[] {
  return client.signals.map(([payload]) => (payload as { price: number }).price);
}

async function post(pod: Pod): Promise<{ readonly price: number; readonly status: number }> {
  const mine = ++price;
  const { status } = await pod.post('/v1/signals', signal(mine));
  return { price: mine, status };
}

async function publish(admin: Redis): Promise<number> {
  const mine = ++price;
  await admin.publish('new_signal', JSON.stringify(signal(mine)));
  return mine;
}

/** Waits until a pod says what is wrong. */
async function told({ pod, client }: World, { aspect, cause }: RedisStateCase, before: number): Promise<void> {
  await until(
    `"degraded", for ${aspect} ${cause}`,
    async () =>
      client.gatewayStates.length > before && (await readyz(pod))[1].some((one) => one === `${aspect} ${cause}`),
    { seen: () => ({ client, log: pod.logs().slice(-20) }), limit: 40_000 },
  );
}

/** Brings a state about, looks at what is told, ends it, and sees that the feed flows again. */
export async function observe(one: World, state: RedisStateCase): Promise<Seen> {
  const { pod, client, admin } = one;
  const { aspect, cause } = state;
  const expired = (): Promise<number> => pod.metric('gateway_messages_dropped_total', { reason: 'expired' });
  const [states, logged, had, dropped] = [
    client.gatewayStates.length,
    pod.logs().length,
    client.signals.length,
    await expired(),
  ];
  const wanted: number[] = [];
  const young: number[] = [];

  await state.begin(one);
  const old = state.isDeaf ? [] : [await publish(admin)];
  await told(one, state, states);
  if (state.outlasts) {
    await until('it to be given up', async () => (await expired()) > dropped, {
      limit: 60_000,
      seen: () => pod.logs(),
    });
    old.splice(0);
  }
  const during = state.appends || state.aspect === 'append' ? await post(pod) : undefined;
  if (during?.status === 202) young.push(during.price);
  if (!state.isDeaf && !state.appends) young.push(await publish(admin));
  const [down, metric, redisUp] = [
    await readyz(pod),
    await pod.metric('gateway_redis_faults', { aspect, cause }),
    await pod.metric('gateway_redis_up'),
  ];
  const lease = await pod.metric('gateway_bridge_lease');
  const holder = await Promise.race([admin.get('{gateway}:lease').catch(() => null), sleep(500, null)]);
  const warnings = await until(
    'a warning',
    () => {
      const lines = pod.logs().slice(logged);
      const found = lines.filter((line) => line['level'] === 40 && line['cause'] === cause);
      return found.length > 0 && found;
    },
    { seen: () => pod.logs().slice(logged) },
  ).then((lines) => lines.filter((line) => String(line['reason']) !== '' && String(line['advice']).length > 10));
  const words = client.gatewayWords.at(-1) ?? '';

  await state.end(one);
  await until('"active"', () => client.gatewayStates.length > states + 1, {
    seen: () => ({ client, log: pod.logs().slice(-20) }),
    limit: 60_000,
  });
  await pod.ready();
  await leased(pod);
  wanted.push(...old, ...young);
  const after = await post(pod);
  if (after.status === 202) wanted.push(after.price);
  wanted.push(await publish(admin));
  await until('the feed to flow', () => pricesOf(client).at(-1) === wanted.at(-1), {
    seen: () => ({ wanted, got: pricesOf(client).slice(had), log: pod.logs().slice(-20) }),
  });
  const got = pricesOf(client).slice(had);
  return {
    told: client.gatewayStates.slice(states),
    words,
    readyz: down,
    warnings: warnings.length,
    metric,
    redisUp,
    falseLease: lease === 1 && holder === null,
    givenUp: (await expired()) - dropped,
    posted: after.status,
    // What was refused may not arrive; what was not must, once and in order.
    arrived: JSON.stringify(got) === JSON.stringify(wanted) ? [] : got,
    metricAfter: await pod.metric('gateway_redis_faults', { aspect, cause }),
  };
}
