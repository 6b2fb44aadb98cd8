import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const KEPT = '{gateway}:kept-topics';

function subscribe(client: FeedClient, topics: readonly string[]): Promise<SubscribeAnswer> {
  return client.socket.timeout(30_000).emitWithAck('subscribe', topics) as Promise<SubscribeAnswer>;
}

/** A client whose topics are `CONNECT` at its connect. It reconnects when it is told to. */
async function connect(door: FrontDoor): Promise<FeedClient> {
  return FeedClient.connect(cleanup, door.url, {
    transports: ['websocket'],
    auth: { topics: ['CONNECT'] },
    reconnection: false,
  });
}

/** Cuts the link of clients, and waits until the pods have noticed. */
async function leave(door: FrontDoor, pods: readonly Pod[], clients: readonly FeedClient[]): Promise<void> {
  door.cut();
  await until('the clients to be away', () => clients.every(({ socket }) => !socket.connected));
  await until('the pods to have noticed', async () => {
    for (const pod of pods) if (!pod.child.exited && (await pod.metric('gateway_sessions')) > 0) return false;
    return true;
  });
}

async function comeBack(client: FeedClient): Promise<void> {
  const { length } = client.welcomes;
  client.socket.connect();
  await client.welcomed(length + 1);
}

async function post(pod: Pod, ...names: string[]): Promise<void> {
  await until('to publish', async () => {
    const body = names.map((symbol, i) => signal(i, { symbol }));
    return (await pod.post('/v1/signals', body)).status === 202;
  });
}

function symbols(client: FeedClient): string[] {
  return client.signals.map(([payload]) => (payload as { symbol: string }).symbol);
}

function gaps(client: FeedClient): unknown[] {
  return client.other.filter(([event]) => event === 'gap').map(([, gap]) => gap);
}

/** Expects that a client that has come back was told that it has lost something, and has the topics of its connect. */
async function expectTold(client: FeedClient, pod: Pod): Promise<void> {
  await until('the gap', () => gaps(client).length > 0, { seen: () => client });
  expect(client.socket.recovered).toBe(false);
  expect(gaps(client)).toMatchObject([{ reason: 'expired' }]);
  const before = client.signals.length;
  await post(pod, 'A', 'B', 'CONNECT');
  await until('a signal', () => client.signals.length > before, { seen: () => client });
  expect(symbols(client).slice(before)).toEqual(['CONNECT']);
}

/** Expects that a client that has come back has these topics, and was told of no loss. */
async function expectTopics(client: FeedClient, pod: Pod, topic: string): Promise<void> {
  expect(client.socket.recovered).toBe(true);
  expect(gaps(client)).toEqual([]);
  const before = client.signals.length;
  await post(pod, ...['A', 'B', 'CONNECT'].filter((one) => one !== topic), topic);
  await until('a signal', () => client.signals.length > before, { seen: () => client });
  expect(symbols(client).slice(before)).toEqual([topic]);
}

test('a client whose topics were lost with Redis is not recovered, and is told so', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const door = await FrontDoor.open(cleanup, [pod]);
  const client = await connect(door);
  const never = await connect(door);
  expect(await subscribe(client, ['A'])).toMatchObject({ ok: true });
  await leave(door, [pod], [client, never]);
  await redis.restart();
  await pod.ready();
  await post(pod, 'A', 'CONNECT');
  await Promise.all([client, never].map(comeBack));
  await expectTold(client, pod);
  // Who never chose has the topics of its connect anyway, and all it missed is in this pod's memory.
  expect(never.socket.recovered).toBe(true);
  await until('what it missed', () => never.signals.length === 2, { seen: () => never });
});

test('topics hold over a restart of Redis with its data, for clients that are there and for one that leaves meanwhile', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const doors = [await FrontDoor.open(cleanup, [pod]), await FrontDoor.open(cleanup, [pod])] as const;
  const stays = await connect(doors[0]);
  const leaves = await connect(doors[1]);
  expect(await subscribe(stays, ['A'])).toMatchObject({ ok: true });
  expect(await subscribe(leaves, ['B'])).toMatchObject({ ok: true });
  await redis.kill();
  await pod.notReady('redis');
  doors[1].cut();
  await until('the client to be away', async () => (await pod.metric('gateway_sessions')) === 1);
  await redis.restart();
  await pod.ready();
  const admin = redis.client(cleanup);
  const run = /run_id:(\w{20})/.exec(await admin.info('server'))?.[1] ?? '';
  await until('both to be kept again', async () => {
    const records = Object.entries(await admin.hgetall(KEPT)).filter(([client]) => !client.startsWith('#'));
    return records.length === 2 && records.every(([, record]) => record.includes(run));
  });
  await leave(doors[0], [pod], [stays]);
  await Promise.all([stays, leaves].map(comeBack));
  await expectTopics(stays, pod, 'A');
  await expectTopics(leaves, pod, 'B');
});

test(
  'after a failover that loses a choice of topics, its client is told so; another one that stayed keeps its topics',
  { timeout: 120_000 },
  async () => {
    const redis = await RedisSentinel.start(cleanup, { replicas: 1 });
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
    const [pod] = pods;
    const [master, replica] = redis.servers;
    if (pod === undefined || master === undefined || replica === undefined) throw new Error('all were started');
    const doors = [await FrontDoor.open(cleanup, pods), await FrontDoor.open(cleanup, pods)] as const;
    const away = await connect(doors[0]);
    const stays = await connect(doors[1]);
    for (const client of [away, stays]) expect(await subscribe(client, ['A'])).toMatchObject({ ok: true });
    const behind = new Redis({ host: HOST, port: replica.port });
    cleanup.add(behind, (self) => self.disconnect());
    // One field says how much all take.
    await until('the replica to have both', async () => (await behind.hlen(KEPT)) === 3);
    // Stopped, and its link cut: what the master gets from here on is not even in the replica's socket.
    await replica.kill('SIGSTOP');
    const admin = master.client(cleanup);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
    for (const client of [away, stays]) expect(await subscribe(client, ['B'])).toMatchObject({ ok: true });
    doors[0].cut();
    const sessions = async (): Promise<number> => {
      const counts = await Promise.all(pods.map((one) => one.metric('gateway_sessions')));
      return counts.reduce((sum, count) => sum + count, 0);
    };
    await until('the client to be away', async () => (await sessions()) === 1);
    await master.kill();
    await replica.kill('SIGCONT');
    await until('the replica to be the master', async () => (await redis.master()).port === replica.port, {
      limit: 60_000,
    });
    for (const one of pods) await one.ready();
    await until('the topics of the one that stayed to be kept', async () =>
      (await behind.hvals(KEPT)).some((record) => record.endsWith('["B"]')),
    );
    // The old choice of the other one is there.
    expect((await behind.hvals(KEPT)).some((record) => record.endsWith('["A"]'))).toBe(true);
    await comeBack(away);
    await expectTold(away, pod);
    doors[1].cut();
    await until('the other client to be away', () => !stays.socket.connected);
    await comeBack(stays);
    await expectTopics(stays, pod, 'B');
  },
);

test('a client whose topics had to go to make room for others is told so, and publishing goes on', async () => {
  const redis = await RedisServer.start(cleanup, ['--maxmemory', '16mb', '--maxmemory-policy', 'noeviction']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const door = await FrontDoor.open(cleanup, [pod]);
  const client = await connect(door);
  expect(await subscribe(client, ['A'])).toMatchObject({ ok: true });
  await leave(door, [pod], [client]);
  const topics = Array.from({ length: 1000 }, (_, i) => `${'t'.repeat(10)}${i}`);
  for (let i = 0; i < 10; i++) {
    const others = await Promise.all(Array.from({ length: 10 }, () => FeedClient.connect(cleanup, pod.url)));
    const answers = await Promise.all(others.map((other) => subscribe(other, topics)));
    expect(answers).toMatchObject(answers.map(() => ({ ok: true })));
    for (const other of others) other.socket.disconnect();
  }
  await post(pod, 'A');
  await comeBack(client);
  await expectTold(client, pod);
});
