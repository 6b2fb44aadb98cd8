import { Emitter } from '@socket.io/redis-emitter';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { EmittingPod } from '../support/emitting-pod.js';
import { FeedClient } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisServer } from '../support/redis.js';
import { until } from '../support/until.js';

/** What docs/publishing.md gives the stock emitter as `key`. */
const KEY = '{gateway}:socket.io';

const whole = new Cleanup();
const cleanup = new Cleanup();
afterEach(() => cleanup.run());
afterAll(() => whole.run());

/** A Redis of either kind, as these tests see it. */
interface Kind {
  readonly url: string;
  /** A connection to every server. */
  readonly nodes: readonly Redis[];
  /** Adapters that hear broadcasts now. */
  listening(): Promise<number>;
  kill(): Promise<unknown>;
  restart(): Promise<unknown>;
}

async function single(owner: Cleanup): Promise<Kind> {
  const server = await RedisServer.start(owner);
  const client = server.client(owner);
  return {
    url: server.url,
    nodes: [client],
    listening: async () => String(await client.client('LIST')).match(/:adapter .* sub=4 psub=1 /g)?.length ?? 0,
    kill: () => server.kill(),
    restart: () => server.restart(),
  };
}

async function sharded(owner: Cleanup): Promise<Kind> {
  const cluster = await RedisCluster.start(owner);
  const nodes = cluster.nodeClients(owner);
  return {
    url: cluster.url,
    nodes,
    listening: async () => {
      const answers = await Promise.all(nodes.map((node) => node.call('PUBSUB', 'SHARDNUMSUB', `${KEY}#/#`)));
      return answers.reduce<number>((sum, answer) => sum + Number((answer as unknown[])[1]), 0);
    },
    kill: () => Promise.all(cluster.nodes.map((node) => node.kill())),
    restart: async () => {
      await Promise.all(cluster.nodes.map((node) => node.restart()));
      await cluster.ready(owner);
    },
  };
}

interface Servers {
  readonly redis: Kind;
  readonly pods: readonly [EmittingPod, EmittingPod];
}

interface Setting extends Servers {
  /** Two clients a pod: WebSocket and long-polling; the first pod's come first. */
  readonly clients: readonly FeedClient[];
}

type Start = (owner: Cleanup) => Promise<Kind>;

async function startServers(owner: Cleanup, start: Start): Promise<Servers> {
  const redis = await start(owner);
  const pods = await Promise.all([
    EmittingPod.start(owner, { REDIS_URL: redis.url }),
    EmittingPod.start(owner, { REDIS_URL: redis.url }),
  ]);
  await adaptersListen(redis);
  await publishersConnected(redis);
  return { redis, pods };
}

async function withClients(servers: Servers): Promise<Setting> {
  const clients = await Promise.all(
    servers.pods.flatMap(({ pod }) =>
      ['websocket', 'polling'].map((transport) => FeedClient.connect(cleanup, pod.url, { transports: [transport] })),
    ),
  );
  return { ...servers, clients };
}

const shared = new Map<Start, Promise<Servers>>();

/** Servers of one kind that tests share, when nobody is connected any more, and clients of the test's own. */
async function setting(start: Start): Promise<Setting> {
  const starting = shared.get(start) ?? startServers(whole, start);
  shared.set(start, starting);
  const servers = await starting;
  for (const { pod } of servers.pods)
    await until('the clients of the tests before to be gone', async () => pod.visit());
  return withClients(servers);
}

async function adaptersListen(redis: Kind): Promise<void> {
  await until('both adapters to listen', async () => (await redis.listening()) === 2, { limit: 30_000 });
}

/** Waits until both pods have a connection to publish over to every node, so that no emit is refused. */
async function publishersConnected({ nodes }: Kind): Promise<void> {
  for (const node of nodes) {
    await until(
      'the pods to be connected to a node',
      async () => String(await node.client('LIST')).match(/ name=signal-gateway:\S+:commands /g)?.length === 2,
      { limit: 30_000 },
    );
  }
}

async function everyoneHas(clients: readonly FeedClient[], last: readonly unknown[]): Promise<void> {
  const text = JSON.stringify(last);
  await until(`${text} at every client`, () => clients.every(({ other }) => JSON.stringify(other.at(-1)) === text), {
    seen: () => clients.map(({ other }) => other),
    limit: 30_000,
  });
}

/** What a client got, less the "here" of pods that made sure of being heard. */
function withoutProbes(client: FeedClient): unknown[][] {
  return client.other.filter(([event]) => event !== 'here');
}

function sidOf(client: FeedClient | undefined): string {
  const sid = client?.socket.id;
  if (sid === undefined) throw new Error('the client is not connected');
  return sid;
}

describe.each([
  { name: 'on a single Redis', start: single },
  { name: 'on a Redis Cluster', start: sharded },
])('$name', ({ start }) => {
  test('an emit on one pod reaches every client of every pod once, whichever pod it is', async () => {
    const { pods, clients } = await setting(start);
    await pods[0].call(['emit', 'note', 'first', 1]);
    await everyoneHas(clients, ['note', 'first', 1]);
    await pods[1].call(['emit', 'note', 'second', 2]);
    await everyoneHas(clients, ['note', 'second', 2]);
    await pods[0].call(['emit', 'end']);
    await everyoneHas(clients, ['end']);

    for (const client of clients) {
      expect(client.other).toEqual([['note', 'first', 1], ['note', 'second', 2], ['end']]);
    }
  }, 120_000);

  test('a client joined to a room from another pod gets what is sent to the room, alone', async () => {
    const { pods, clients } = await setting(start);
    const [near, , far] = clients;
    for (const client of [near, far]) await pods[0].call(['in', sidOf(client)], ['socketsJoin', 'vip']);
    await until(
      'both to be in the room',
      async () => {
        const members = await pods[1].call(['in', 'vip'], ['fetchSockets']);
        return (
          JSON.stringify([...(members as string[])].toSorted()) === JSON.stringify([sidOf(near), sidOf(far)].toSorted())
        );
      },
      { seen: () => pods.map(({ pod }) => pod.output()) },
    );
    expect([...((await pods[0].call(['fetchSockets'])) as string[])].toSorted()).toEqual(clients.map(sidOf).toSorted());

    await pods[0].call(['in', 'vip'], ['emit', 'note', 'to the room']);
    await pods[0].call(['except', 'vip'], ['emit', 'note', 'to the others']);
    await pods[0].call(['emit', 'end']);
    await everyoneHas(clients, ['end']);
    for (const client of clients) {
      const text = client === near || client === far ? 'to the room' : 'to the others';
      expect(client.other).toEqual([['note', text], ['end']]);
    }
  }, 120_000);

  test('a disconnect asked for on one pod reaches the clients of the others', async () => {
    const { pods, clients } = await setting(start);
    const [, , far, other] = clients;
    await pods[0].call(['in', sidOf(far)], ['disconnectSockets', true]);
    await until('the one client to be disconnected', () => far?.disconnects.length === 1);
    expect(far?.disconnects).toEqual(['io server disconnect']);
    expect(other?.socket.connected).toBe(true);

    await pods[0].call(['disconnectSockets', true]);
    await until('every client to be disconnected', () => clients.every(({ socket }) => !socket.connected), {
      seen: () => clients,
    });
    for (const client of clients) expect(client.disconnects).toEqual(['io server disconnect']);
  }, 120_000);

  test('a question of one pod to the others is answered by each', async () => {
    const { pods } = await setting(start);
    expect(await pods[0].call(['serverSideEmitWithAck', 'question'])).toEqual([pods[1].pod.name]);
    expect(await pods[1].call(['serverSideEmitWithAck', 'question'])).toEqual([pods[0].pod.name]);
  }, 120_000);

  test('what is emitted while Redis is away reaches the clients of that pod only, and nobody later', async () => {
    const { redis, pods, clients } = await withClients(await startServers(cleanup, start));
    const [local, remote] = [clients.slice(0, 2), clients.slice(2)];
    await redis.kill();
    await Promise.all(pods.map(({ pod }) => pod.notReady('redis')));
    for (let i = 0; i < 20; i++) await pods[0].call(['emit', 'note', 'while away', i]);
    await everyoneHas(local, ['note', 'while away', 19]);

    await redis.restart();
    await Promise.all(pods.map(({ pod }) => pod.ready()));
    await adaptersListen(redis);
    // Emits are refused, not kept, until the connection that publishes is back too; so the pods say "here" until heard.
    for (const [pod, others] of [
      [pods[0], remote],
      [pods[1], local],
    ] as const) {
      await until(
        'one pod to reach the clients of the other again',
        async () => {
          await pod.call(['emit', 'here', pod.pod.name]);
          return others.every(({ other }) => JSON.stringify(other.at(-1)) === JSON.stringify(['here', pod.pod.name]));
        },
        { limit: 30_000 },
      );
    }
    await pods[0].call(['emit', 'end']);
    // Not the last thing they get: the other pod's probes come on a way of their own.
    await until(
      'the end at every client',
      () => clients.every(({ other }) => other.some(([event]) => event === 'end')),
      {
        seen: () => clients.map(withoutProbes),
        limit: 30_000,
      },
    );

    const away = Array.from({ length: 20 }, (_, i) => ['note', 'while away', i]);
    for (const client of local) expect(withoutProbes(client)).toEqual([...away, ['end']]);
    for (const client of remote) expect(withoutProbes(client)).toEqual([['end']]);
    for (const client of clients) expect(client.disconnects).toEqual([]);
    expect(pods.flatMap(({ pod }) => pod.faults())).toEqual([]);
  }, 120_000);
});

test('the stock emitter reaches every client of every pod once, and a room', async () => {
  const { redis, pods, clients } = await setting(single);
  const [near, , far] = clients;
  const [connection] = redis.nodes;
  const emitter = new Emitter(connection, { key: KEY });
  for (const client of [near, far]) emitter.in(sidOf(client)).socketsJoin('vip');
  await until('both to be in the room', async () => {
    return ((await pods[0].call(['in', 'vip'], ['fetchSockets'])) as string[]).length === 2;
  });

  emitter.emit('note', 'to all', { price: 1.5 });
  await everyoneHas(clients, ['note', 'to all', { price: 1.5 }]);
  emitter.to('vip').emit('note', 'to the room');
  if (near === undefined || far === undefined) throw new Error('no clients');
  await everyoneHas([near, far], ['note', 'to the room']);
  emitter.emit('end');
  await everyoneHas(clients, ['end']);
  for (const client of clients) {
    const inRoom = client === near || client === far;
    expect(client.other).toEqual([
      ['note', 'to all', { price: 1.5 }],
      ...(inRoom ? [['note', 'to the room']] : []),
      ['end'],
    ]);
  }
}, 120_000);

test('an invalid adapter message ends no pod, whoever publishes it, and the messages after it are received', async () => {
  const { redis, pods, clients } = await setting(single);
  const [connection] = redis.nodes;
  const noMessages = ['ff', 'c0', '93010203', '93a178 81a36e7370a12f c0', '00', '90', '93a178c0c0', '', '7b7d'];
  for (const hex of noMessages) {
    for (const channel of ['#/#', '#/#room#', '-request#/#', '-response#/#']) {
      await connection?.publish(KEY + channel, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    }
  }
  new Emitter(connection, { key: KEY }).emit('note', 'after it');
  await everyoneHas(clients, ['note', 'after it']);
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  for (const { pod } of pods) {
    await until(
      'the pod to log it',
      () => pod.logs().some(({ msg }) => String(msg).startsWith('dropped a message from another pod')),
      { seen: () => pod.output() },
    );
  }
}, 120_000);

test('on a Redis Cluster the stock emitter reaches every client once too, whichever node it publishes on', async () => {
  const { redis, clients } = await setting(sharded);
  const [near] = clients;
  for (const node of redis.nodes) {
    const emitter = new Emitter(node, { key: KEY });
    emitter.emit('note', node.options.port);
    await everyoneHas(clients, ['note', node.options.port]);
    emitter.to(sidOf(near)).emit('note', 'to one');
    if (near !== undefined) await everyoneHas([near], ['note', 'to one']);
  }
  const ports = redis.nodes.map(({ options }) => options.port);
  for (const client of clients) {
    const toOne = client === near ? [['note', 'to one']] : [];
    expect(client.other).toEqual(ports.flatMap((port) => [['note', port], ...toOne]));
  }
}, 120_000);
