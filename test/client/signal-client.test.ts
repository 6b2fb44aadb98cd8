import { afterEach, expect, expectTypeOf, test } from 'vitest';
import type { Gap, Signal, StatusUpdate } from '../../src/contract/events.js';
import {
  type SignalClient,
  type SignalClientOptions,
  type SubscribeResult,
  connectSignals,
} from '../../src/client/signal-client.js';
import { FrontDoor } from '../support/front-door.js';
import { SECRET, claims, secretToken, seconds } from '../support/issuer.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST, serverPort } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';
import { Watched, memoryStorage, range } from './watched.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());
const shared = sharedPods();

async function publish(pod: Pod, prices: readonly number[], more: Readonly<Record<string, unknown>> = {}) {
  const answer = await pod.post(
    '/v1/signals',
    prices.map((price) => signal(price, more)),
  );
  expect(answer.status).toBe(202);
}

async function twoPods(): Promise<[Pod, Pod]> {
  const redis = await RedisServer.start(cleanup);
  const env = { REDIS_URL: redis.url };
  return [await Pod.start(cleanup, env), await Pod.start(cleanup, env)];
}

function fail(): never {
  throw new Error('forbidden');
}

test('events, options and answers are typed', () => {
  expectTypeOf<Parameters<SignalClient['onSignal']>[0]>().parameters.toEqualTypeOf<[Signal, string]>();
  expectTypeOf<Parameters<SignalClient['onGap']>[0]>().parameters.toEqualTypeOf<[Gap]>();
  expectTypeOf<Parameters<SignalClient['onStatus']>[0]>().parameters.toEqualTypeOf<[StatusUpdate]>();
  expectTypeOf<Awaited<ReturnType<SignalClient['subscribe']>>>().toEqualTypeOf<SubscribeResult>();
  expectTypeOf<SignalClient['statuses']>().toEqualTypeOf<ReadonlyMap<string, StatusUpdate>>();
  expectTypeOf<ReturnType<SignalClient['signals']>>().toExtend<AsyncIterable<{ signal: Signal; offset: string }>>();
  expectTypeOf<SignalClientOptions>().not.toHaveProperty('topic');
  expect(wronglyTyped).toBeTypeOf('function');
});

/** Compiles only while the types refuse what is wrong. */
function wronglyTyped(client: SignalClient): void {
  client.onSignal((one) => {
    expectTypeOf(one.signal).toEqualTypeOf<'BUY' | 'SELL'>();
    // @ts-expect-error -- a price is a number
    one.price.trim();
  });
  // @ts-expect-error -- topics are a list
  void client.subscribe('BTC/USDT');
  // @ts-expect-error -- a client that does not reconnect is none
  connectSignals('http://localhost', { socket: { reconnection: false } });
  // @ts-expect-error -- there is no such option
  connectSignals('http://localhost', { topic: [] });
}

test('a client gets signals with their offsets, and knows the newest status of every service', async () => {
  const pod = await Pod.start(cleanup);
  await pod.post('/v1/status', status('degraded', { service: 'A' }));
  const watched = await new Watched(cleanup, pod.url).connected();
  await pod.post('/v1/status', [status('active', { service: 'A' }), status('offline', { service: 'B' })]);
  await publish(pod, [1, 2]);
  expect(await watched.got(2)).toEqual([1, 2]);
  expect(watched.connects).toEqual([false]);
  expect([...watched.client.statuses.values()].map((one) => [one.service, one.status])).toEqual([
    ['A', 'active'],
    ['B', 'offline'],
  ]);
  expect(watched.client.offset).toMatch(/:5$/);
  watched.client.close();
  expect(watched.states.at(-1)).toEqual({ name: 'closed' });
  expect(watched.gaps).toEqual([]);
});

test('a listener that was taken away is told nothing more, and one that throws does not keep the others from theirs', async () => {
  const pod = await shared();
  const client = cleanup.add(connectSignals(pod.url), (one) => one.close());
  const seen: string[] = [];
  const thrown: unknown[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  try {
    const stop = client.onSignal(() => seen.push('gone'));
    client.onSignal(() => {
      throw new Error('a fault of the page');
    });
    client.onSignal(({ price }) => seen.push(String(price)));
    stop();
    await until('a connection', () => client.state.name === 'connected');
    await publish(pod, [7]);
    await until('both', () => seen.length > 0 && thrown.length > 0, { seen: () => [seen, thrown] });
    expect([seen, thrown]).toEqual([['7'], ['a fault of the page']]);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  }
});

test('a client whose pod is killed continues on another one: nothing is lost, nothing arrives twice', async () => {
  const [one, other] = await twoPods();
  const door = await FrontDoor.open(cleanup, [one, other]);
  door.use(one);
  const watched = await new Watched(cleanup, door.url, { topics: ['BTC/USDT'] }).connected();
  await publish(other, range(1, 20));
  expect(await watched.got(20)).toEqual(range(1, 20));
  await one.child.kill();
  await publish(other, range(21, 40));
  await publish(other, range(900, 920), { symbol: 'ETH/USDT' });
  await watched.connected(2);
  await publish(other, range(41, 50));
  expect(await watched.got(50)).toEqual(range(1, 50));
  expect(watched.connects).toEqual([false, true]);
  expect(watched.client.socket.recovered).toBe(true);
  expect(watched.gaps).toEqual([]);
  expect(watched.states.map(({ name }) => name)).toEqual(['connected', 'reconnecting', 'connected']);
});

test('topics hold over a recovered connect and over a fresh one, and a refused change changes nothing', async () => {
  const port = String(await serverPort());
  let pod = await Pod.start(cleanup, { PORT: port });
  const watched = new Watched(cleanup, `http://${HOST}:${port}`, { topics: ['BTC/USDT'] });
  // Waits for the connection by itself.
  expect(await watched.client.subscribe(['ETH/USDT', 'ETH/USDT@1m', 'SOL/USDT@5m'])).toEqual({
    ok: true,
    topics: ['ETH/USDT', 'SOL/USDT@5m'],
  });
  const refused = await watched.client.subscribe(['@']);
  expect(refused).toMatchObject({ ok: false, error: { code: 'invalid_topics' } });
  expect(watched.client.topics).toEqual(['ETH/USDT', 'SOL/USDT@5m']);
  watched.client.socket.io.engine.close();
  await watched.connected(2);
  await publish(pod, [1]);
  await publish(pod, [2], { symbol: 'ETH/USDT' });
  expect(await watched.got(1)).toEqual([2]);
  // Without Redis the journal goes with the pod: the client begins afresh, and is told.
  await pod.child.kill();
  pod = await Pod.start(cleanup, { PORT: port });
  await watched.connected(3);
  await until('the gap', () => watched.gaps.length > 0, { seen: () => watched });
  await publish(pod, [3]);
  await publish(pod, [4], { symbol: 'SOL/USDT', timeframe: '5m' });
  expect(await watched.got(2)).toEqual([2, 4]);
  expect(watched.connects).toEqual([false, true, false]);
  expect(watched.gaps).toMatchObject([{ reason: 'epoch' }]);
  expect(watched.client.offset?.split(':')[0]).toBe(watched.gaps[0]?.resumed.split(':')[0]);
});

test('a change of topics that was not answered does not hold after the reconnect', async () => {
  const [one, other] = await twoPods();
  const door = await FrontDoor.open(cleanup, [one, other]);
  door.use(one);
  const watched = await new Watched(cleanup, door.url, { topics: ['BTC/USDT'] }).connected();
  expect(await watched.client.subscribe(['ETH/USDT'])).toMatchObject({ ok: true });
  // It gets to the pod and into Redis, and the answer does not come back.
  door.pause();
  const answer = watched.client.subscribe(['SOL/USDT']);
  await until('the pod to carry it out', async () => (await one.metric('gateway_subscribes_total')) >= 2, {
    seen: () => one.output(),
  });
  await one.child.kill();
  door.cut();
  expect(await answer).toMatchObject({ ok: false, error: { code: 'no_answer' } });
  await publish(other, [1], { symbol: 'SOL/USDT' });
  await publish(other, [2], { symbol: 'ETH/USDT' });
  expect(await watched.got(1)).toEqual([2]);
  expect(watched.connects).toEqual([false, true]);
  expect(watched.client.topics).toEqual(['ETH/USDT']);
});

test('a subscribe of a client that is closed says so and does not wait for ever', async () => {
  const pod = await shared();
  const watched = await new Watched(cleanup, pod.url).connected();
  watched.client.close();
  expect(await watched.client.subscribe(['BTC/USDT'])).toMatchObject({ ok: false, error: { code: 'no_answer' } });
});

test('a new client with the same storage continues where the previous one was, on another pod too', async () => {
  const [one, other] = await twoPods();
  const storage = memoryStorage();
  const options = { storage: () => storage, key: 'feed', topics: ['BTC/USDT'] };
  const first = await new Watched(cleanup, one.url, options).connected();
  await publish(one, range(1, 5));
  expect(await first.got(5)).toEqual(range(1, 5));
  first.client.close();
  expect(storage.kept.get('feed')).toBe(first.client.offset);
  await publish(one, range(6, 10));
  const second = await new Watched(cleanup, other.url, options).connected();
  await publish(one, [11]);
  expect(await second.got(6)).toEqual(range(6, 11));
  expect(second.connects).toEqual([true]);
  // And goes on over a drop as any other.
  second.client.socket.io.engine.close();
  await publish(one, [12]);
  await second.connected(2);
  expect(await second.got(7)).toEqual(range(6, 12));
  expect(second.connects).toEqual([true, true]);
});

test('a new client with the storage of one that has changed its topics continues with the topics that it asks for', async () => {
  const pods = await twoPods();
  const storage = memoryStorage();
  const first = await new Watched(cleanup, pods[0].url, {
    storage: () => storage,
    key: 'feed',
    topics: ['A'],
  }).connected();
  expect(await first.client.subscribe(['B'])).toMatchObject({ ok: true });
  await publish(pods[0], [1], { symbol: 'B' });
  await first.got(1);
  first.client.close();
  await publish(pods[0], [2], { symbol: 'A' });
  await publish(pods[0], [3], { symbol: 'B' });
  const second = await new Watched(cleanup, pods[1].url, {
    storage: () => storage,
    key: 'feed',
    topics: ['B'],
  }).connected();
  expect(await second.got(1)).toEqual([3]);
  expect(second.connects).toEqual([true]);
  // It may change them as often as it likes, and they hold over a reconnect.
  for (const topics of [['A'], ['B'], ['A']]) expect(await second.client.subscribe(topics)).toMatchObject({ ok: true });
  second.client.socket.io.engine.close();
  await second.connected(2);
  await publish(pods[0], [4], { symbol: 'B' });
  await publish(pods[0], [5], { symbol: 'A' });
  expect(await second.got(2)).toEqual([3, 5]);
  expect(second.connects).toEqual([true, true]);
});

test('two clients with copies of one storage, as of a duplicated tab, have topics of their own over a reconnect', async () => {
  const pod = await shared();
  const storage = memoryStorage();
  const first = await new Watched(cleanup, pod.url, { storage }).connected();
  await publish(pod, [1]);
  expect(await first.got(1)).toEqual([1]);
  first.client.close();
  const tabs = [memoryStorage(), memoryStorage()].map((copy) => {
    for (const [key, value] of storage.kept) copy.setItem(key, value);
    return new Watched(cleanup, pod.url, { storage: copy });
  });
  const [one, other] = tabs as [Watched, Watched];
  await one.client.subscribe(['BTC/USDT']);
  await other.client.subscribe(['ETH/USDT']);
  for (const tab of tabs) tab.client.socket.io.engine.close();
  await Promise.all(tabs.map((tab) => tab.connected(2)));
  await publish(pod, [2]);
  await publish(pod, [3], { symbol: 'ETH/USDT' });
  expect(await one.got(1)).toEqual([2]);
  expect(await other.got(1)).toEqual([3]);
  expect(one.connects).toEqual([true, true]);
});

test('a client that starts from an offset gets everything after it, or a gap if that journal was lost', async () => {
  const pod = await shared();
  const answer = await pod.post(
    '/v1/signals',
    range(1, 4).map((price) => signal(price)),
  );
  const { offsets } = (await answer.json()) as { offsets: string[] };
  const watched = await new Watched(cleanup, pod.url, { after: offsets[1] }).connected();
  expect(await watched.got(2)).toEqual([3, 4]);
  expect(watched.connects).toEqual([true]);
  const lost = await new Watched(cleanup, pod.url, { after: 'another:7' }).connected();
  await until('the gap', () => lost.gaps.length > 0, { seen: () => lost });
  expect(lost.gaps).toEqual([{ reason: 'epoch', requested: 'another:7', resumed: offsets[3] }]);
  expect(lost.connects).toEqual([false]);
});

test('a storage that fails or is unavailable is ignored', async () => {
  const pod = await shared();
  for (const storage of [{ getItem: fail, setItem: fail }, fail, () => undefined]) {
    const watched = await new Watched(cleanup, pod.url, { storage }).connected();
    await publish(pod, [1]);
    expect(await watched.got(1)).toEqual([1]);
    watched.client.close();
  }
});

const JWT = { AUTH: 'jwt', JWT_SECRET: SECRET };

test('when its token expires, the client reconnects with a fresh one and loses nothing', async () => {
  const pod = await shared(JWT);
  let asked = 0;
  // The clocks' tolerance is 5 s: this one is over in a moment.
  const token = (): Promise<string> => secretToken(claims({ exp: ++asked === 1 ? seconds() + 3 : seconds() + 600 }));
  const watched = await new Watched(cleanup, pod.url, { token }).connected();
  await publish(pod, [1]);
  expect(await watched.got(1)).toEqual([1]);
  await watched.connected(2);
  await publish(pod, [2]);
  expect(await watched.got(2)).toEqual([1, 2]);
  expect([asked, watched.connects]).toEqual([2, [false, true]]);
});

test('a client whose token is refused asks for another one at once', async () => {
  const pod = await shared(JWT);
  let asked = 0;
  const token = async (): Promise<string> => {
    if (++asked === 1) throw new Error('the page is offline');
    return secretToken(claims({ exp: asked === 2 ? seconds() - 600 : seconds() + 600 }));
  };
  const watched = await new Watched(cleanup, pod.url, { token }).connected();
  expect(asked).toBe(3);
  expect(watched.states.map((state) => (state.name === 'reconnecting' ? state.reason : state.name))).toEqual([
    'Error: the page is offline',
    'the token has expired',
    'connected',
  ]);
});

test('a client stops asking for tokens at its limit, says why, and begins again when it is told to', async () => {
  const pod = await shared(JWT);
  let asked = 0;
  let good = false;
  const token = (): Promise<string> => {
    asked++;
    return secretToken(claims(), good ? SECRET : 'another secret that is long enough');
  };
  const watched = new Watched(cleanup, pod.url, { token, tokenRetries: 1 });
  const iterator = watched.client.signals();
  await expect(iterator.next()).rejects.toMatchObject({ name: 'SignalError', code: 'token_bad_signature' });
  expect([asked, watched.client.state]).toMatchObject([2, { name: 'closed', error: { code: 'token_bad_signature' } }]);
  good = true;
  watched.client.connect();
  await watched.connected();
});

test('a fixed token that is refused, and invalid topics, end the client with their codes', async () => {
  const pod = await shared(JWT);
  const ends = [
    { token: 'none', code: 'token_malformed' },
    { code: 'token_missing' },
    { token: await secretToken(claims({ topics: ['BTC/USDT'] })), topics: ['*'], code: 'topics_not_allowed' },
  ];
  for (const { code, ...options } of ends) {
    const watched = new Watched(cleanup, pod.url, options);
    const state = await until('the end', () => watched.client.state.name === 'closed' && watched.client.state, {
      seen: () => watched,
    });
    expect(state).toMatchObject({ name: 'closed', error: { code } });
  }
});

test('a client that the gateway sends away for good is closed with an error', async () => {
  const pod = await shared(JWT);
  const watched = await new Watched(cleanup, pod.url, { token: await secretToken(claims({ sub: 'ann' })) }).connected();
  expect((await pod.post('/v1/disconnect', { user: 'ann' })).status).toBe(200);
  await until('the end', () => watched.client.state.name === 'closed', { seen: () => watched });
  expect(watched.client.state).toMatchObject({ error: { code: 'disconnected' } });
});

test('a client goes on trying while nobody is there', async () => {
  const port = String(await serverPort());
  const watched = new Watched(cleanup, `http://${HOST}:${port}`);
  await until('a try that failed', () => watched.states.length > 0, { seen: () => watched });
  expect(watched.client.state).toMatchObject({ name: 'reconnecting' });
  await Pod.start(cleanup, { PORT: port });
  await watched.connected();
});

test('a client that may try only so often is closed after that, says why, and begins again when it is told to', async () => {
  const port = String(await serverPort());
  const watched = new Watched(cleanup, `http://${HOST}:${port}`, { socket: { reconnectionAttempts: 2 } });
  const iterator = watched.client.signals();
  await expect(iterator.next()).rejects.toMatchObject({ name: 'SignalError', code: 'unreachable' });
  expect(watched.states.map(({ name }) => name)).toEqual(['reconnecting', 'reconnecting', 'reconnecting', 'closed']);
  await Pod.start(cleanup, { PORT: port });
  watched.client.connect();
  await watched.connected();
});
