import { setTimeout as sleep } from 'node:timers/promises';
import { Emitter } from '@socket.io/redis-emitter';
import { afterEach, describe, expect, test } from 'vitest';
import { CheckedClient, connected, summary } from '../support/checked-client.js';
import { FrontDoor } from '../support/front-door.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisGate } from '../support/redis-gate.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();
const sharedWithRedis = sharedPods(async (whole) => ({ REDIS_URL: (await RedisServer.start(whole)).url }));

/** Two pods with one Redis that tests share. */
async function pair(): Promise<[Pod, Pod]> {
  return Promise.all([sharedWithRedis({}, 1), sharedWithRedis({}, 2)]);
}

const PERFECT = { faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0 };

async function post(
  pod: Pod,
  from: number,
  to: number,
  more: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const body = Array.from({ length: to - from }, (_, i) => signal(from + i, more));
  const response = await pod.post('/v1/signals', body);
  expect(response.status).toBe(202);
  return ((await response.json()) as { offsets: string[] }).offsets;
}

test('a client that drops twice gets every signal once, over websocket, polling and an upgrade, without Redis', async () => {
  // A stock client whose link is cut in the very moment of its upgrade waits for a heartbeat that does not come.
  const pod = await Pod.start(cleanup, { PING_INTERVAL: '1000', PING_TIMEOUT: '1000' });
  const doors: FrontDoor[] = [];
  const clients: CheckedClient[] = [];
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    const door = await FrontDoor.open(cleanup, [pod]);
    doors.push(door);
    clients.push(new CheckedClient(cleanup, door.url, { transports }));
  }
  await connected(clients);
  const running = { now: true };
  let sent = 0;
  const producer = (async () => {
    while (running.now) await post(pod, sent, ++sent);
  })();
  for (const drops of [1, 2]) {
    await until(
      'every client to have dropped',
      async () => {
        // A client on long-polling notices only a link that is in use, so it may take more than one cut.
        for (const [i, door] of doors.entries()) if ((clients[i]?.disconnects.length ?? 0) < drops) door.cut();
        await sleep(100);
        return clients.every((c) => c.disconnects.length >= drops);
      },
      { seen: () => clients },
    );
    await until(
      'every client to be back',
      () => clients.every((c) => c.reconnects.length >= drops && c.socket.connected),
      {
        seen: () => clients,
      },
    );
  }
  running.now = false;
  await producer;
  await until('the clients to have everything', () => clients.every((c) => c.got.size === sent), {
    seen: () => clients,
  });
  const result = summary(clients);
  expect(result).toMatchObject({ ...PERFECT, recovered: result.reconnects });
});

test('a client that drops before its first signal recovers too', async () => {
  const pods = await pair();
  const door = await FrontDoor.open(cleanup, pods);
  const client = new CheckedClient(cleanup, door.url, { transports: ['websocket'] });
  await connected([client]);
  client.socket.io.opts.reconnectionDelay = 1000;
  door.cut();
  await until('the client to be away', () => !client.socket.connected);
  for (const pod of pods) await post(pod, 0, 50);
  await until('the client to have what it missed', () => client.got.size === 100, { seen: () => client });
  expect(summary([client])).toMatchObject({ ...PERFECT, recovered: 1 });
});

describe.each([
  ['without Redis', false],
  ['with Redis', true],
])('a client that was away for longer than the journal reaches, %s', (_name, withRedis) => {
  test('is told where it was and where it goes on', async () => {
    const redis = withRedis ? await RedisServer.start(cleanup) : undefined;
    const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '50', ...(redis && { REDIS_URL: redis.url }) });
    const door = await FrontDoor.open(cleanup, [pod]);
    // It is away until everything that it is to miss has been published.
    const client = new CheckedClient(cleanup, door.url, { transports: ['websocket'], reconnection: false });
    await connected([client]);
    await post(pod, 0, 10);
    await until('the first signals', () => client.got.size === 10, { seen: () => client });
    const before = client.last;
    door.cut();
    await until('the client to be away', () => !client.socket.connected);
    const offsets = await post(pod, 10, 1010);
    client.socket.connect();
    await until('the client to be back', () => client.gaps.length === 1, { seen: () => client });
    expect(client.reconnects).toEqual([false]);
    expect(client.gaps).toEqual([
      { reason: 'expired', requested: `${before?.epoch}:${before?.seq}`, resumed: offsets.at(-1) },
    ]);
    await post(pod, 1010, 1020);
    await until('signals to go on', () => client.got.size === 20, { seen: () => client });
    expect(client.faultCount).toBe(0);
  });
});

test('a client of another epoch is told so', async () => {
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup)));
  const [first, second] = pods;
  const door = await FrontDoor.open(cleanup, pods);
  if (first === undefined || second === undefined) throw new Error('two pods were started');
  door.use(first);
  const client = new CheckedClient(cleanup, door.url, { transports: ['websocket'] });
  await connected([client]);
  const [requested] = await post(first, 0, 1);
  await until('the signal', () => client.got.size === 1);
  await post(second, 0, 5);
  door.cut();
  await until('the gap', () => client.gaps.length > 0, { seen: () => client });
  expect(client.gaps).toMatchObject([{ reason: 'epoch', requested }]);
});

test.each(['not an offset', ':', 'a:-1', 'a:1e3', 'x'.repeat(300), 'a:99999999999999999999'])(
  'an offset that the gateway never gave (%j) is answered with a gap, and the client goes on',
  async (offset) => {
    const pod = await shared();
    const client = new CheckedClient(cleanup, pod.url, { transports: ['websocket'], auth: { pid: 'made-up', offset } });
    await until('the gap', () => client.gaps.length === 1, { seen: () => client });
    expect(client.gaps[0]).toMatchObject({ reason: 'epoch', requested: offset.slice(0, 64) });
    await post(pod, 0, 3);
    await until('signals', () => client.got.size === 3, { seen: () => client });
  },
);

test('a recovered client gets broadcasts to the namespace and to rooms', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const [pod] = pods;
  if (pod === undefined) throw new Error('two pods were started');
  const door = await FrontDoor.open(cleanup, pods);
  const clients = ['websocket', 'polling'].map(
    (transport) => new CheckedClient(cleanup, door.url, { transports: [transport] }),
  );
  await connected(clients);
  door.cut();
  await until('the clients to be back', () => clients.every((c) => c.reconnects.length === 1 && c.socket.connected));
  expect(clients.map((c) => c.socket.recovered)).toEqual([true, true]);

  const emitter = new Emitter(redis.client(cleanup), { key: '{gateway}:socket.io' });
  emitter.emit('to_all', 1);
  await until('the broadcast to all', () => clients.every((c) => c.other.length === 1), { seen: () => clients });
  emitter.socketsJoin('vip');
  emitter.to('vip').emit('to_room', 2);
  await until('the broadcast to the room', () => clients.every((c) => c.other.length === 2), { seen: () => clients });
  for (const client of clients)
    expect(client.other).toEqual([
      ['to_all', 1],
      ['to_room', 2],
    ]);
  await post(pod, 0, 20);
  await until('the feed', () => clients.every((c) => c.got.size === 20), { seen: () => clients });
  expect(summary(clients)).toMatchObject(PERFECT);
});

test('a client that moves to a pod whose reader is 200 entries behind gets nothing twice and loses nothing', async () => {
  const redis = await RedisServer.start(cleanup);
  const gate = await RedisGate.open(cleanup, redis.port);
  const fast = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const slow = await Pod.start(cleanup, { REDIS_URL: gate.url });
  const door = await FrontDoor.open(cleanup, [fast, slow]);
  door.use(fast);
  const client = new CheckedClient(cleanup, door.url, { transports: ['websocket'] });
  await connected([client]);
  const begin = await slow.metric('gateway_journal_seq');
  await post(fast, 0, 100);
  const isThere = async (): Promise<boolean> => (await slow.metric('gateway_journal_seq')) === begin + 100;
  await until('the slow pod to have read so far', isThere);
  gate.hold(':reader');
  await post(fast, 100, 300);
  await until('the client to be ahead', () => client.got.size === 300, { seen: () => client });
  expect(await isThere()).toBe(true);
  door.cut();
  await until('the slow pod to have the client waiting', async () => (await slow.metric('gateway_sessions')) === 1);
  gate.release();
  await until('the client to be recovered', () => client.reconnects.length === 1, { seen: () => client });
  await post(fast, 300, 350);
  await until('the rest', () => client.got.size === 350, { seen: () => client });
  expect(summary([client])).toMatchObject({ ...PERFECT, recovered: 1 });
});

test('a client with topics is replayed only what they cover, and keeps its topics', async () => {
  const pods = await pair();
  const [pod] = pods;
  const door = await FrontDoor.open(cleanup, pods);
  const auth = { topics: ['ETH/USDT', 'BTC/USDT@5m', 'ETH/USDT@1m'] };
  const client = new CheckedClient(cleanup, door.url, { transports: ['websocket'], auth, reconnectionDelay: 1000 });
  await connected([client]);
  const mixed = async (from: number): Promise<void> => {
    await post(pod, from, from + 10, { symbol: 'BTC/USDT' });
    await post(pod, from, from + 10, { symbol: 'ETH/USDT' });
    await post(pod, from, from + 10, { symbol: 'BTC/USDT', timeframe: '5m' });
  };
  await mixed(0);
  await until('what the topics cover', () => client.got.size === 20, { seen: () => client });
  door.cut();
  await until('the client to be away', () => !client.socket.connected);
  await mixed(10);
  await until('what it missed', () => client.got.size === 40, { seen: () => client });
  await mixed(20);
  await until('what comes live', () => client.got.size === 60, { seen: () => client });
  expect(client.socket.recovered).toBe(true);
  expect(client.faults.twice + client.faults.outOfOrder).toBe(0);
  const got = [...client.got.values()].map((text) => JSON.parse(text) as { symbol: string; timeframe: string });
  expect(got.filter(({ symbol, timeframe }) => symbol === 'BTC/USDT' && timeframe === '1m')).toEqual([]);
});

test('invalid topics are refused with a code, and nothing else happens', async () => {
  const pod = await shared();
  const client = new CheckedClient(cleanup, pod.url, { transports: ['websocket'], auth: { topics: ['BTC/USDT', 5] } });
  const errors: { message: string; data?: { code?: string } }[] = [];
  client.socket.on('connect_error', (error) => errors.push(error as never));
  await until('the refusal', () => errors.length > 0, { seen: () => client });
  expect(errors[0]?.data).toEqual({ code: 'invalid_topics' });
  expect(errors[0]?.message).toContain('topic 1');
});

test('nothing that was refused while Redis was away or stopped appears later', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const client = new CheckedClient(cleanup, pod.url, { transports: ['websocket'] });
  await connected([client]);
  await post(pod, 0, 1);
  await redis.kill('SIGSTOP');
  const refused = await Promise.all(Array.from({ length: 20 }, (_, i) => pod.post('/v1/signals', signal(1000 + i))));
  expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 503));
  expect(refused[0]?.headers.get('retry-after')).toBe('1');
  await sleep(500);
  await redis.kill('SIGCONT');
  await pod.ready();
  await redis.kill();
  const began = performance.now();
  expect((await pod.post('/v1/signals', signal(2000))).status).toBe(503);
  // At once: not after the time that an answer of Redis is waited for.
  expect(performance.now() - began).toBeLessThan(1500);
  await redis.restart();
  await pod.ready();
  await until('publishing to work again', async () => (await pod.post('/v1/signals', signal(1))).status === 202);
  await until('the new signal', () => [...client.got.values()].some((text) => text.includes('"price":1,')), {
    seen: () => client,
  });
  const prices = [...client.got.values()].map((text) => (JSON.parse(text) as { price?: number }).price);
  expect(prices.filter((price) => (price ?? 0) >= 1000)).toEqual([]);
});

test('a client whose symbols are quiet is told where the journal is, and does not fall out of it', async () => {
  const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '50' });
  const door = await FrontDoor.open(cleanup, [pod]);
  const auth = { topics: ['ETH/USDT'] };
  const client = new CheckedClient(cleanup, door.url, { transports: ['websocket'], auth });
  await connected([client]);
  const offsets = await post(pod, 0, 200);
  const newest = ['checkpoint', offsets.at(-1)];
  await until('the checkpoint', () => client.other.at(-1)?.[1] === newest[1], { limit: 30_000, seen: () => client });
  // Its turn may have come while signals were still published, but no other came since.
  expect(client.other.slice(0, -1).map(([event]) => event)).toEqual(client.other.length > 1 ? ['checkpoint'] : []);
  expect(client.other.at(-1)).toEqual(newest);
  door.cut();
  await until('the client to be back', () => client.reconnects.length === 1 && client.socket.connected, {
    seen: () => client,
  });
  expect(client.reconnects).toEqual([true]);
  expect(client.gaps).toEqual([]);
});

test('a replay larger than MAX_BACKPRESSURE is paced by the client and does not cut it', async () => {
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: '16384' });
  const doors = await Promise.all([1, 2].map(() => FrontDoor.open(cleanup, [pod])));
  const clients = ['websocket', 'polling'].map(
    (transport, i) =>
      new CheckedClient(cleanup, doors[i]?.url ?? '', {
        transports: [transport],
        reconnectionDelay: 3000,
        reconnectionDelayMax: 3000,
      }),
  );
  await connected(clients);
  for (const client of clients) client.socket.io.engine.close();
  await until('the clients to be away', async () => (await pod.metric('gateway_sessions')) === 0);
  for (let n = 0; n < 1500; n += 500) await post(pod, n, n + 500, { filler: 'x'.repeat(4000) });
  await until('the clients to have it all', () => clients.every((c) => c.got.size === 1500), {
    limit: 40_000,
    seen: () => clients,
  });
  expect(summary(clients)).toMatchObject({ ...PERFECT, reconnects: 2, recovered: 2 });
});
