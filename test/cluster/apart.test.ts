import { Emitter } from '@socket.io/redis-emitter';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EmittingPod } from '../support/emitting-pod.js';
import { ForeignApp } from '../support/foreign-app.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const whole = new Cleanup();
const cleanup = new Cleanup();
afterEach(() => cleanup.run());
afterAll(() => whole.run());

let redis: RedisServer;
/** Two gateways whose prefixes begin alike, and applications with the adapter's default key and with one that begins alike. */
let gateways: readonly [EmittingPod, EmittingPod];
let apps: readonly ForeignApp[];

beforeAll(async () => {
  redis = await RedisServer.start(whole);
  const start = (prefix: string): Promise<EmittingPod> =>
    EmittingPod.start(whole, {
      REDIS_URL: redis.url,
      REDIS_KEY_PREFIX: prefix,
      SIGNAL_CHANNEL: `signals-${prefix}`,
      STATUS_CHANNEL: `statuses-${prefix}`,
    });
  gateways = await Promise.all([start('a'), start('a:b')]);
  apps = await Promise.all([
    ForeignApp.start(whole, { REDIS_URL: redis.url }),
    ForeignApp.start(whole, { REDIS_URL: redis.url, KEY: '{a' }),
  ]);
}, 60_000);

interface Clients {
  readonly own: FeedClient;
  readonly other: FeedClient;
}

async function clients(): Promise<Clients> {
  const [own, other] = await Promise.all(gateways.map(({ pod }) => FeedClient.connect(cleanup, pod.url)));
  if (own === undefined || other === undefined) throw new Error('no clients');
  // What the services of their own gateway said last comes with the connect.
  for (const { statuses } of [own, other]) statuses.length = 0;
  return { own, other };
}

/** Everything that a client got after its `welcome`. */
function got({ signals, statuses, other, disconnects }: FeedClient): unknown {
  return { signals, statuses, other, disconnects };
}

const NOTHING = { signals: [], statuses: [], other: [], disconnects: [] };

test('the pods that a gateway names are its own, beside another gateway, other applications and eavesdroppers', async () => {
  const admin = redis.client(cleanup);
  await admin.subscribe('socket.io-request#/#', '{a}:socket.io-request#/#', '{a:b}:socket.io-request#/#');
  for (const { pod } of gateways) {
    const response = await fetch(`${pod.adminUrl}/v1/info`);
    expect(response.status).toBe(200);
    const { pods } = (await response.json()) as { pods: { pod: string }[] };
    expect(pods.map((one) => one.pod)).toEqual([pod.name]);
  }
});

test('a disconnect by sid or by user ends no client of another gateway', async () => {
  const { own, other } = await clients();
  const [{ pod }] = gateways;
  for (const target of [{ sid: other.socket.id }, { user: '42' }]) {
    const response = await pod.post('/v1/disconnect', target);
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 200,
      body: { disconnected: 0 },
    });
  }
  expect(await (await pod.post('/v1/disconnect', { sid: own.socket.id })).json()).toEqual({ disconnected: 1 });
  await until('the own client to be disconnected', () => own.disconnects.length === 1);
  expect(got(other)).toEqual(NOTHING);
});

test('signals, statuses, emits and server-side events stay with their gateway', async () => {
  const { own, other } = await clients();
  const [first, second] = gateways;
  const admin = redis.client(cleanup);
  await first.pod.post('/v1/signals', signal(1));
  await first.pod.post('/v1/status', status());
  await admin.publish('signals-a', JSON.stringify(signal(2)));
  await first.call(['emit', 'note', 'to all']);
  await first.call(['to', other.socket.id ?? ''], ['emit', 'note', 'to one']);
  await first.call(['in', other.socket.id ?? ''], ['socketsJoin', 'room']);
  expect(await first.call(['fetchSockets'])).toEqual([own.socket.id]);
  expect(await first.call(['serverSideEmitWithAck', 'question'])).toEqual([]);
  await until('the signals', () => own.signals.length === 2 && own.other.length === 1, { seen: () => own });
  // Its own end of the feed, after which nothing of the other gateway can be on its way.
  await second.call(['emit', 'end']);
  await until('the end', () => other.other.length > 0);
  expect(got(other)).toEqual({ ...NOTHING, other: [['end']] });
  await second.call(['in', 'room'], ['emit', 'end']);
  await first.call(['disconnectSockets', true]);
  await until('the own client to be disconnected', () => own.disconnects.length === 1);
  expect(other.disconnects).toEqual([]);
});

test('nothing that a foreign application or an emitter with another key sends or asks reaches clients', async () => {
  const { own, other } = await clients();
  const admin = redis.client(cleanup);
  for (const app of apps) {
    await app.call(['emit', 'new_signal', { hello: 'from a foreign application' }]);
    await app.call(['emit', 'chat', 'hi there']);
    await app.call(['to', own.socket.id ?? ''], ['emit', 'chat', 'hi there']);
    await app.call(['socketsJoin', 'room']);
    await app.call(['serverSideEmit', 'gateway:disconnect', { sid: own.socket.id }]);
    expect(await app.call(['fetchSockets'])).toEqual([]);
    await app.call(['disconnectSockets', true]);
  }
  for (const key of ['socket.io', '{a', '{a}', 'a', '{a:b']) {
    const emitter = new Emitter(admin, { key });
    emitter.emit('chat', 'hi there');
    emitter.disconnectSockets(true);
  }
  for (const [prefix, client] of [
    ['a', own],
    ['a:b', other],
  ] as const) {
    new Emitter(admin, { key: `{${prefix}}:socket.io` }).emit('end', { prefix });
    await until('the end', () => client.other.length > 0);
    expect(got(client)).toEqual({ ...NOTHING, other: [['end', { prefix }]] });
  }
  // What they came to have as an offset is one of the gateway's: they recover.
  own.socket.io.engine.close();
  await until('the client to be back', () => own.socket.connected && own.disconnects.length === 1);
  expect(own.socket.recovered).toBe(true);
});

test('a gateway with the prefix of another, on another database, refuses to mix and disturbs nobody', async () => {
  const { own } = await clients();
  const newcomer = await Pod.start(
    cleanup,
    { REDIS_URL: `${redis.url}/2`, REDIS_KEY_PREFIX: 'a', SIGNAL_CHANNEL: 'signals-a' },
    { ready: false },
  );
  const lines = (): string[] => newcomer.logs().map((line) => JSON.stringify(line));
  await until(
    'the newcomer to say why',
    () => lines().some((line) => /uses database 0 .* this one database 2/.test(line)),
    {
      seen: lines,
    },
  );
  expect(lines().some((line) => line.includes('the number of the database separates keys, and not Pub/Sub'))).toBe(
    true,
  );
  await newcomer.notReady('redis');
  await gateways[0].pod.post('/v1/signals', signal(3));
  await until('the signal', () => own.signals.length === 1);
  expect(got(own)).toEqual({ ...NOTHING, signals: own.signals });
  const { pods } = (await (await fetch(`${gateways[0].pod.adminUrl}/v1/info`)).json()) as { pods: unknown[] };
  expect(pods).toHaveLength(1);
}, 60_000);

test('pods of version 0.1 are heard, told and counted beside those of this version, once each', async () => {
  const server = await RedisServer.start(cleanup);
  const env = { REDIS_URL: server.url };
  const seed = await Pod.start(cleanup, env);
  const { offsets } = (await (await seed.post('/v1/signals', signal(1))).json()) as { offsets: string[] };
  await ForeignApp.start(cleanup, { ...env, FORMER_HEAD: 'another:1' });
  const former = await ForeignApp.start(cleanup, { ...env, FORMER_HEAD: offsets[0] ?? '' });
  // Pods that start now find the former one at once.
  const pods = await Promise.all([EmittingPod.start(cleanup, env), EmittingPod.start(cleanup, env)]);
  for (const { pod } of pods)
    await until('the pods to find it', () =>
      pod.logs().some(({ msg }) => String(msg).startsWith('pods of version 0.1')),
    );
  const [near, far] = await Promise.all(pods.map(({ pod }) => FeedClient.connect(cleanup, pod.url)));

  const { pods: named } = (await (await fetch(`${pods[0].pod.adminUrl}/v1/info`)).json()) as {
    pods: { pod: string }[];
  };
  expect(named.map(({ pod }) => pod)).toEqual(expect.arrayContaining([seed.name, pods[1].pod.name, 'former']));
  expect(await (await pods[0].pod.post('/v1/disconnect', { sid: offsets[0] })).json()).toEqual({
    disconnected: 1,
  });

  // Both ways, once: this version speaks on both names of the channels, and hears both.
  const seen = (): unknown => [near, far].map((client) => client?.other);
  await former.call(['emit', 'note', 'from the former']);
  await until('what the former said', () => [near, far].every((client) => client?.other.length === 1), { seen });
  await pods[0].call(['emit', 'note', 'from this version']);
  await pods[0].call(['emit', 'end']);
  await until('the end', () => [near, far].every((client) => client?.other.at(-1)?.[0] === 'end'), { seen });
  for (const client of [near, far]) {
    expect(client?.other).toEqual([['note', 'from the former'], ['note', 'from this version'], ['end']]);
  }
  await former.call(['in', far?.socket.id ?? ''], ['disconnectSockets', true]);
  await until('the client to be disconnected', () => far?.disconnects.length === 1);
  expect(near?.disconnects).toEqual([]);
}, 60_000);

/** The pods that one of them names. */
async function podsNamedBy({ pod }: EmittingPod): Promise<string[]> {
  const { pods = [] } = (await (await fetch(`${pod.adminUrl}/v1/info`)).json()) as { pods?: { pod: string }[] };
  return pods.map((one) => one.pod);
}

test('on a Redis Cluster two gateways and emitters with other keys keep apart as well', async () => {
  const cluster = await RedisCluster.start(cleanup);
  const start = (prefix: string): Promise<EmittingPod> =>
    EmittingPod.start(cleanup, {
      REDIS_URL: cluster.url,
      REDIS_KEY_PREFIX: prefix,
      SIGNAL_CHANNEL: `signals-${prefix}`,
    });
  const [first, second, beside] = await Promise.all([start('a'), start('a:b'), start('a:b')]);
  const [own, other] = await Promise.all([first, second].map(({ pod }) => FeedClient.connect(cleanup, pod.url)));
  if (own === undefined || other === undefined) throw new Error('no clients');

  await until('the pods of a gateway to find each other', async () => (await podsNamedBy(second)).length === 2);
  expect(await podsNamedBy(second)).toEqual([second.pod.name, beside.pod.name]);
  expect(await podsNamedBy(first)).toEqual([first.pod.name]);
  const answers = [first, beside].map(async ({ pod }) =>
    (await pod.post('/v1/disconnect', { sid: own.socket.id })).json(),
  );
  expect(await Promise.all(answers)).toEqual([{ disconnected: 1 }, { disconnected: 0 }]);

  const producer = cluster.client(cleanup);
  await first.call(['emit', 'note', 'to all']);
  await producer.publish('signals-a', JSON.stringify(signal(1)));
  for (const key of ['socket.io', '{a', '{a}', '{a}:socket.io']) {
    const emitter = new Emitter(producer, { key });
    emitter.emit('chat', 'hi there');
    emitter.disconnectSockets(true);
  }
  expect(await first.call(['fetchSockets'])).toEqual([]);
  await beside.call(['emit', 'end']);
  await until('the end', () => other.other.length > 0);
  expect(got(other)).toEqual({ ...NOTHING, other: [['end']] });
}, 60_000);
