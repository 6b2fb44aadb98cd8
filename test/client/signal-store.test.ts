import { afterEach, expect, test } from 'vitest';
import { connectSignals } from '../../src/client/signal-client.js';
import { SignalStore } from '../../src/client/signal-store.js';
import { SECRET, claims, secretToken } from '../support/issuer.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';
import { range } from './watched.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());
const shared = sharedPods();

/** Mounts a component that shows the store; returns what unmounts it. */
function mount(store: SignalStore): () => void {
  return cleanup.add(
    store.listen(() => {}),
    (unmount) => unmount(),
  );
}

async function connected(store: SignalStore): Promise<void> {
  await until('a connection', () => store.snapshot().state.name === 'connected', { seen: () => store.snapshot() });
}

async function publish(pod: Pod, prices: readonly number[], more: Readonly<Record<string, unknown>> = {}) {
  await pod.post(
    '/v1/signals',
    prices.map((price) => signal(price, more)),
  );
}

/** Waits until the newest signal is this one. @returns the prices of all */
async function shown(store: SignalStore, price: number): Promise<number[]> {
  await until(`the price ${price}`, () => pricesOf(store)[0] === price, { seen: () => store.snapshot() });
  return pricesOf(store);
}

function pricesOf(store: SignalStore): number[] {
  return store.snapshot().signals.map((one) => one.signal.price);
}

test('a component that unmounts and mounts again shows what was published meanwhile, and has no connection in between', async () => {
  const pod = await shared();
  const store = new SignalStore(pod.url, {});
  const unmount = mount(store);
  await connected(store);
  await publish(pod, [1, 2]);
  expect(await shown(store, 2)).toEqual([2, 1]);
  unmount();
  await until('no connection', async () => (await pod.metric('gateway_connections')) === 0);
  await publish(pod, [3]);
  mount(store);
  expect(await shown(store, 3)).toEqual([3, 2, 1]);
  await publish(pod, [4]);
  expect(await shown(store, 4)).toEqual([4, 3, 2, 1]);
});

test('the list has at most as many signals as it may, and the limit may change', async () => {
  const pod = await shared();
  const store = new SignalStore(pod.url, {}, 5);
  mount(store);
  await connected(store);
  await publish(pod, range(1, 300));
  expect(await shown(store, 300)).toEqual([300, 299, 298, 297, 296]);
  store.configure({}, 2);
  await until('a shorter list', () => pricesOf(store).length < 5, { seen: () => store.snapshot() });
  expect(pricesOf(store)).toEqual([300, 299]);
});

test.each([Number.NaN, 0, -1, 2.5, Infinity])('a limit of %d is ignored, and 100 is used', async (limit) => {
  const pod = await shared();
  const store = new SignalStore(pod.url, {}, limit);
  mount(store);
  await connected(store);
  await publish(pod, range(1, 300));
  expect(await shown(store, 300)).toEqual(range(201, 300).toReversed());
  // As in every render; a frame later there is nothing new to render.
  const before = store.snapshot();
  store.configure({}, limit);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(store.snapshot()).toBe(before);
});

test('topics that are refused leave the previous ones active, and the snapshot says why', async () => {
  const pod = await shared();
  const store = new SignalStore(pod.url, { topics: ['BTC/USDT'] });
  mount(store);
  await connected(store);
  store.configure({ topics: ['@'] });
  await until('the reason', () => store.snapshot().topicsError?.code === 'invalid_topics', {
    seen: () => store.snapshot(),
  });
  await publish(pod, [1], { symbol: 'ETH/USDT' });
  await publish(pod, [2]);
  expect(await shown(store, 2)).toEqual([2]);
  store.configure({ topics: ['ETH/USDT'] });
  await until('no reason', () => store.snapshot().topicsError === undefined, { seen: () => store.snapshot() });
  await publish(pod, [3]);
  await publish(pod, [4], { symbol: 'ETH/USDT' });
  expect(await shown(store, 4)).toEqual([4, 2]);
});

test('topics that change while there is no connection hold from the next one on', async () => {
  const pod = await shared();
  const client = cleanup.add(connectSignals(pod.url, { socket: { reconnectionDelay: 50 } }), (one) => one.close());
  const store = new SignalStore(client, {});
  mount(store);
  await connected(store);
  client.socket.io.engine.close();
  store.configure({ topics: ['BTC/USDT'] });
  await until('the topics', () => client.topics?.join() === 'BTC/USDT', { seen: () => client.state });
  await publish(pod, [1], { symbol: 'ETH/USDT' });
  await publish(pod, [2]);
  expect(await shown(store, 2)).toEqual([2]);
});

test('a client that is given stays open when nobody listens any more', async () => {
  const pod = await Pod.start(cleanup);
  const client = cleanup.add(connectSignals(pod.url), (one) => one.close());
  const store = new SignalStore(client, {});
  const unmount = mount(store);
  await connected(store);
  unmount();
  await publish(pod, [1]);
  await until('the signal', () => client.offset?.endsWith(':1'), { seen: () => client.offset });
  expect(client.state).toEqual({ name: 'connected', recovered: false });
  expect(pricesOf(store)).toEqual([]);
});

test('a token is asked of the newest render', async () => {
  const pod = await shared({ AUTH: 'jwt', JWT_SECRET: SECRET });
  const asked: string[] = [];
  const token = (render: string) => (): Promise<string> => {
    asked.push(render);
    return secretToken(claims());
  };
  const store = new SignalStore(pod.url, { token: token('first') });
  mount(store);
  await connected(store);
  store.configure({ token: token('second') });
  expect((await pod.post('/v1/disconnect', { user: 'user 1', reconnect: true })).status).toBe(200);
  await until('another connect', () => asked.length > 1, { seen: () => store.snapshot().state });
  expect(asked).toEqual(['first', 'second']);
});

test('a token that comes after the first render, or in place of one that was refused, connects', async () => {
  const pod = await shared({ AUTH: 'jwt', JWT_SECRET: SECRET });
  const store = new SignalStore(pod.url, {});
  mount(store);
  const isClosed = (): boolean => store.snapshot().state.name === 'closed';
  await until('the refusal', isClosed, { seen: () => store.snapshot().state });
  store.configure({ token: 'no token' });
  await until('another refusal', () => JSON.stringify(store.snapshot().state).includes('not a JSON Web Token'), {
    seen: () => store.snapshot().state,
  });
  store.configure({ token: await secretToken(claims()) });
  await connected(store);
  await publish(pod, [1]);
  expect(await shown(store, 1)).toEqual([1]);
});

test('topics that are no longer named are all that the token allows', async () => {
  const pod = await shared({ AUTH: 'jwt', JWT_SECRET: SECRET });
  const token = await secretToken(claims({ topics: ['BTC/USDT', 'ETH/USDT'] }));
  const store = new SignalStore(pod.url, { token, topics: ['BTC/USDT'] });
  mount(store);
  await connected(store);
  await publish(pod, [1], { symbol: 'ETH/USDT' });
  await publish(pod, [2]);
  expect(await shown(store, 2)).toEqual([2]);
  store.configure({ token });
  await until('a new connection', async () => (await pod.metric('gateway_connects_total')) === 2);
  await connected(store);
  await publish(pod, [3], { symbol: 'SOL/USDT' });
  await publish(pod, [4], { symbol: 'ETH/USDT' });
  expect(await shown(store, 4)).toEqual([4, 2]);
  expect(store.snapshot().topicsError).toBeUndefined();
});
