import type { Cluster, Redis } from 'ioredis';
import { Redis as Client } from 'ioredis';
import { expect } from 'vitest';
import type { Signal } from '../../src/contract/events.js';
import { Certificate } from './certificate.js';
import { FeedClient, Pod, everyoneHas } from './pod.js';
import { type Cleanup, HOST, serverPort } from './processes.js';
import { RedisCluster } from './redis-cluster.js';
import { RedisSentinel } from './redis-sentinel.js';
import { RedisServer } from './redis.js';
import { signal } from './signals.js';
import { until } from './until.js';

/** A Redis of some kind, and what happens to it in the middle. */
interface StartedKind {
  /** What a gateway is told about it. */
  readonly env: Readonly<Record<string, string>>;
  readonly producer: Redis | Cluster;
  /** Breaks every connection to it, or fails over. */
  readonly breakIt: () => Promise<void>;
}

const USER = ['gateway', 'on', '>PASSWORD', '~*', '&*', '+@all'];
const LOGIN = 'gateway:PASSWORD@';

/** Nobody gets in without the password of the user. */
async function protect(servers: readonly Redis[]): Promise<void> {
  for (const server of servers) await server.call('ACL', 'SETUSER', ...USER);
}

/** Closes the connections of the gateways. */
async function cut(servers: readonly Redis[]): Promise<void> {
  for (const server of servers) {
    await server.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await server.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
}

function login(url: string): string {
  return url.replace('//', `//${LOGIN}`);
}

async function single(cleanup: Cleanup, args: readonly string[] = []): Promise<StartedKind & { redis: RedisServer }> {
  const redis = await RedisServer.start(cleanup, args);
  const admin = redis.client(cleanup);
  const producer = redis.client(cleanup);
  return { redis, env: { REDIS_URL: redis.url }, producer, breakIt: () => cut([admin]) };
}

async function acl(cleanup: Cleanup): Promise<StartedKind> {
  const started = await single(cleanup);
  await protect([started.redis.client(cleanup)]);
  return { ...started, env: { REDIS_URL: login(started.redis.url) } };
}

async function ipv6(cleanup: Cleanup): Promise<StartedKind> {
  // The last one counts, and the test itself comes over IPv4.
  const started = await single(cleanup, ['--bind', HOST, '::1']);
  return { ...started, env: { REDIS_URL: `redis://[::1]:${started.redis.port}` } };
}

async function tls(cleanup: Cleanup): Promise<StartedKind> {
  const certificate = new Certificate(cleanup, 'redis');
  const server = await serverWithTls(cleanup, certificate);
  return { ...server, env: { REDIS_URL: `rediss://localhost:${server.tlsPort}`, ...certificate.redisEnv } };
}

async function serverWithTls(
  cleanup: Cleanup,
  certificate: Certificate,
): Promise<StartedKind & { readonly tlsPort: number }> {
  const tlsPort = await serverPort();
  return { ...(await single(cleanup, [...certificate.redisArgs, '--tls-port', String(tlsPort)])), tlsPort };
}

async function sentinels(cleanup: Cleanup): Promise<StartedKind> {
  const certificate = new Certificate(cleanup, 'redis');
  const redis = await RedisSentinel.start(cleanup, { tls: certificate, password: 'OTHER' });
  const servers = redis.servers.map((server) => server.client(cleanup));
  await protect(servers);
  const env = { REDIS_URL: redis.tlsUrl(LOGIN), REDIS_SENTINEL_PASSWORD: 'OTHER', ...certificate.redisEnv };
  const [, heir] = redis.servers;
  // The one replica is the next primary.
  const producer = new Client({ host: HOST, port: heir?.port ?? 0, lazyConnect: true, retryStrategy: () => 50 });
  producer.on('error', () => {});
  cleanup.add(producer, () => producer.disconnect());
  let isOver = false;
  const breakIt = async (): Promise<void> => {
    await redis.servers[0]?.kill();
    await until(
      'the replica to be the primary',
      async () => (await producer.info('replication')).includes('role:master'),
      {
        limit: 60_000,
      },
    );
    isOver = true;
  };
  const [first] = servers;
  const publish = async (channel: string, text: string): Promise<number> =>
    isOver ? producer.publish(channel, text) : ((await first?.publish(channel, text)) ?? 0);
  return { env, producer: { publish } as unknown as Redis, breakIt };
}

async function cluster(cleanup: Cleanup): Promise<StartedKind> {
  const certificate = new Certificate(cleanup, 'redis');
  const redis = await RedisCluster.start(cleanup, 3, { tls: certificate });
  const nodes = redis.nodeClients(cleanup);
  await protect(nodes);
  const env = { REDIS_URL: redis.tlsUrl(LOGIN), ...certificate.redisEnv };
  return { env, producer: redis.client(cleanup), breakIt: () => cut(nodes) };
}

async function unknownEndpoints(cleanup: Cleanup): Promise<StartedKind> {
  const redis = await RedisCluster.start(cleanup);
  const nodes = redis.nodeClients(cleanup);
  const [producer] = redis.nodeClients(cleanup);
  for (const node of nodes) await node.config('SET', 'cluster-preferred-endpoint-type', 'unknown-endpoint');
  if (producer === undefined) throw new Error('no node');
  return { env: { REDIS_URL: redis.url }, producer, breakIt: () => cut(nodes) };
}

/** Every kind of Redis, by what it is called in a title. */
export const REDIS_KINDS: Readonly<Record<string, (cleanup: Cleanup) => Promise<StartedKind>>> = {
  'one server': single,
  'one server with TLS, an own authority and client certificates': tls,
  'one server with a user': acl,
  'one server at an IPv6 address': ipv6,
  'sentinels with a password of their own and TLS, with a failover': sentinels,
  'a cluster with TLS and a user': cluster,
  'a cluster that announces no endpoints': unknownEndpoints,
};

/** How much is sent to how many. */
export interface KindSize {
  readonly signals: number;
  readonly clients: number;
  readonly pods: number;
}

/** Sends signals by both ways in, with a break in the middle, and looks at what every client has got. */
export async function feedThrough(cleanup: Cleanup, kind: StartedKind, size: KindSize): Promise<void> {
  const pods = await Promise.all(Array.from({ length: size.pods }, () => Pod.start(cleanup, kind.env)));
  const clients = await Promise.all(
    Array.from({ length: size.clients }, (_, i) => FeedClient.connect(cleanup, pods[i % pods.length]?.url ?? '')),
  );
  const expected: Signal[] = [];
  const send = async (number: number): Promise<void> => {
    const one = signal(number);
    expected.push(one);
    if (number % 2 === 0) {
      // The next signal is posted: in order only once this one is in the journal.
      await kind.producer.publish('new_signal', JSON.stringify(one));
      await everyoneHas(clients, number);
      return;
    }
    const pod = pods[number % pods.length];
    const post = async (): Promise<boolean> =>
      (await pod?.post('/v1/signals', one, { 'Idempotency-Key': `signal-${number}` }))?.status === 202;
    await until(`signal ${number} to be taken`, post, { limit: 30_000, seen: () => pods.map((each) => each.output()) });
  };
  for (let i = 1; i <= size.signals; i++) {
    if (i === size.signals / 2) {
      await kind.breakIt();
      // What is published while a pod is not subscribed is lost, as Redis says.
      await Promise.all(pods.map((pod) => until('degraded to be over', () => isUp(pod), { limit: 30_000 })));
    }
    await send(i);
  }
  await everyoneHas(clients, size.signals);
  for (const client of clients) {
    expect(client.signals.map(([payload]) => payload)).toEqual(expected);
    expect(client.disconnects).toEqual([]);
  }
}

/** Ready, and with a new subscription where the old one was cut. */
async function isUp(pod: Pod): Promise<boolean> {
  const states = pod.logs().filter(({ msg }) => typeof msg === 'string' && msg.startsWith('Redis is back'));
  return states.length > 0 && (await fetch(`${pod.adminUrl}/readyz`)).status === 200;
}
