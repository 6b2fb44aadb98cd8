import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { expect, test as plain } from 'vitest';
import { SIZE_COMMANDS } from '../../src/redis/gateway-keys.js';
import { REQUIRED_COMMANDS, commandsFor, serverVersion, unsupported } from '../../src/redis/requirements.js';
import { deleteEntry, historyOf } from '../support/deletion.js';
import { ROOT } from '../support/manifests.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod, everyoneHas } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

/** What the servers, the sentinels and the tests themselves send. */
const FOREIGN = new Set(['config', 'replconf', 'psync', 'asking', 'slaveof', 'replicaof', 'acl', 'auth']);

/** The commands that scripts send. */
const IN_SCRIPTS = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.lua'))
  .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'))
  .flatMap((text) => [...text.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, name = '']) => name.toLowerCase()));

/** The commands that a server was sent, but for those that do not come from a gateway. */
async function sent(client: Redis): Promise<string[]> {
  const stats = await client.info('commandstats');
  const names = [...stats.matchAll(/^cmdstat_([^|:]+)/gm)].map(([, name = '']) => name.toLowerCase());
  return [...new Set(names)].filter((name) => !FOREIGN.has(name));
}

/** Takes two gateways through everything that has them talk to Redis. */
async function session(cleanup: Cleanup, url: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: url, ...env })));
  const [one, two] = pods as [Pod, Pod];
  const clients = await Promise.all(pods.map((pod) => FeedClient.connect(cleanup, pod.url, { reconnection: false })));
  const publish = async (path: string, body: unknown, headers = {}): Promise<void> => {
    await until('to publish', async () => (await one.post(path, body, headers)).status === 202);
  };
  await publish('/v1/signals', signal(1), { 'idempotency-key': 'a' });
  await publish('/v1/signals', signal(1), { 'idempotency-key': 'a' });
  await publish('/v1/status', status());
  await one.post('/v1/signals', 'rubbish');
  for (const client of clients) await client.socket.timeout(30_000).emitWithAck('subscribe', ['BTC/USDT', 'ETH/USDT']);
  await publish('/v1/signals', signal(2));
  await everyoneHas(clients, 2);
  const { entries } = await historyOf(one);
  for (const { offset } of entries) expect((await deleteEntry(two, offset)).status).toBe(200);
  await historyOf(two, `?after=${entries[0]?.offset}`);
  expect((await fetch(`${one.adminUrl}/v1/info`)).status).toBe(200);
  // Both leave: their topics are kept, and found on the other pod.
  for (const { socket } of clients) socket.disconnect();
  for (const { socket } of clients) socket.io.engine?.close();
  const asked = await one.post('/v1/disconnect', { sid: 'nobody' });
  expect(asked.status).toBe(200);
  await until('the clients to be gone', async () => (await one.metric('gateway_sessions')) === 0);
  // Without a word, so that its topics are kept.
  const lost = await FeedClient.connect(cleanup, one.url, { reconnection: false });
  await lost.socket.timeout(30_000).emitWithAck('subscribe', ['BTC/USDT']);
  lost.socket.io.engine?.close();
  await until('the client to be gone', async () => (await one.metric('gateway_sessions')) === 0);
  lost.socket.connect();
  await lost.welcomed(2);
}

function unlisted(seen: readonly string[], kind: 'single' | 'sentinel' | 'cluster', minReplicas: number): string[] {
  return seen.filter((name) => !commandsFor({ kind, minReplicas, hasSources: kind === 'single' }).includes(name));
}

async function seenOn(clients: readonly Redis[]): Promise<string[]> {
  return [...new Set((await Promise.all(clients.map(sent))).flat())].toSorted();
}

// Three kinds of Redis, each with two gateways: they wait for each other's starts together.
test('the list names every command that gateways send to a server, to one behind sentinels and to a cluster, and none besides', async ({
  cleanup,
}) => {
  const single = async (): Promise<string[]> => {
    const redis = await RedisServer.start(cleanup);
    await session(cleanup, redis.url, { SIGNAL_STREAM: 'signals' });
    await redis.client(cleanup).publish('new_signal', 'rubbish');
    const client = redis.client(cleanup);
    await until('the rejected message', async () => (await client.lindex('{gateway}:rejected', 0)) !== null);
    return seenOn([client]);
  };
  const sentinel = async (): Promise<string[]> => {
    const redis = await RedisSentinel.start(cleanup);
    await session(cleanup, redis.url, { JOURNAL_MIN_REPLICAS: '1' });
    return seenOn([(await redis.master()).client(cleanup)]);
  };
  const cluster = async (): Promise<string[]> => {
    const redis = await RedisCluster.start(cleanup);
    await session(cleanup, redis.url);
    return seenOn(redis.nodeClients(cleanup));
  };
  const [onSingle, onSentinel, onCluster] = await Promise.all([single(), sentinel(), cluster()]);

  expect(unlisted(onSingle, 'single', 0)).toEqual([]);
  expect(unlisted(onSentinel, 'sentinel', 1)).toEqual([]);
  expect(unlisted(onCluster, 'cluster', 0)).toEqual([]);
  // A script may come to some of its commands only after minutes, and is handed some by name.
  const handed = Object.values(SIZE_COMMANDS).map((name) => name.toLowerCase());
  const used = new Set([...onSingle, ...onSentinel, ...onCluster, ...IN_SCRIPTS, ...handed]);
  const rare = new Set<string | undefined>(['after an accident', 'signal-gateway check', 'signal-gateway doctor']);
  const needed = REQUIRED_COMMANDS.filter(({ only }) => !rare.has(only)).map(({ name }) => name);
  expect(needed.filter((name) => !used.has(name))).toEqual([]);
});

test('a Redis that has switched a command off is named once in the log, with the command, and the pod is not ready', async ({
  cleanup,
}) => {
  const redis = await RedisServer.start(cleanup, ['--rename-command', 'XREVRANGE', '']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url }, { ready: false });
  const lines = await until('the line', () => {
    const found = pod.logs().filter(({ cause }) => cause === 'unsupported');
    return found.length > 0 && found;
  });
  await pod.notReady('redis');
  expect(lines.map(({ reason }) => reason)).toEqual([
    expect.stringMatching(/^This server is Redis \S+, which does not know XREVRANGE, which the gateway needs$/),
  ]);
});

plain('the version of Redis is told from that of a Valkey, which says a version of Redis too', () => {
  expect(serverVersion('# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone')).toEqual({
    name: 'Redis',
    version: '7.0.15',
    asRedis: '7.0.15',
  });
  expect(serverVersion('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n')).toEqual({
    name: 'Valkey',
    version: '9.1.2',
    asRedis: '7.2.4',
  });
  expect(serverVersion('')).toBeUndefined();
});

plain.each([
  ['5.0.14', 'single', 'This server is Redis 5.0.14, which is too old: Redis 6.2 or later is needed, for'],
  ['6.0.20', 'sentinel', 'This server is Redis 6.0.20, which is too old: Redis 6.2 or later is needed, for'],
  ['6.2.0', 'single', undefined],
  ['6.2.0', 'cluster', 'This server is Redis 6.2.0, which is too old: Redis 7.0 or later is needed for a cluster, for'],
  ['7.0.0', 'cluster', undefined],
  ['10.0.0', 'single', undefined],
] as const)('Redis %s as %s: %s', async (version, kind, reason) => {
  const server = {
    info: () => Promise.resolve(`redis_version:${version}\r\n`),
    call: (_: string, __: string, ...names: string[]) => Promise.resolve(names.map(() => [])),
  };
  const fault = await unsupported(server, { kind, minReplicas: 0 });
  if (reason === undefined) expect(fault).toBeUndefined();
  else expect(fault).toMatchObject({ code: 'unsupported', reason: expect.stringContaining(reason) as string });
});

plain('every command of a script is in the list', () => {
  const listed = new Set(REQUIRED_COMMANDS.map(({ name }) => name));
  expect(IN_SCRIPTS.length).toBeGreaterThan(10);
  expect(IN_SCRIPTS.filter((name) => !listed.has(name))).toEqual([]);
});
