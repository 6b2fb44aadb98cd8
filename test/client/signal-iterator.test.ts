import { afterEach, expect, test } from 'vitest';
import { type SignalClient, connectSignals } from '../../src/client/signal-client.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

async function connected(pod: Pod): Promise<SignalClient> {
  const client = cleanup.add(connectSignals(pod.url), (one) => one.close());
  await until('a connection', () => client.state.name === 'connected', { seen: () => client.state });
  return client;
}

async function publish(pod: Pod, count: number): Promise<string[]> {
  const answer = await pod.post(
    '/v1/signals',
    Array.from({ length: count }, (_, i) => signal(i + 1)),
  );
  return ((await answer.json()) as { offsets: string[] }).offsets;
}

test('a loop gets what came since it was asked for, in order, and ends with close', async () => {
  const pod = await Pod.start(cleanup);
  const client = await connected(pod);
  const signals = client.signals();
  const offsets = await publish(pod, 50);
  const got: unknown[] = [];
  for await (const { signal: one, offset } of signals) {
    got.push([one.price, offset]);
    if (got.length === 50) client.close();
  }
  expect(got).toEqual(offsets.map((offset, i) => [i + 1, offset]));
  expect(await client.signals().next()).toEqual({ value: undefined, done: true });
});

test('a loop that waits ends with close, too', async () => {
  const client = await connected(await Pod.start(cleanup));
  const next = client.signals().next();
  client.close();
  expect(await next).toEqual({ value: undefined, done: true });
});

test('loops are independent: one that breaks leaves the others alone', async () => {
  const pod = await Pod.start(cleanup);
  const client = await connected(pod);
  const [one, other] = [client.signals(), client.signals()];
  await publish(pod, 3);
  const prices: number[][] = [[], []];
  for await (const { signal: got } of one) {
    prices[0]?.push(got.price);
    break;
  }
  expect(await one.next()).toEqual({ value: undefined, done: true });
  for await (const { signal: got } of other) {
    if (prices[1]?.push(got.price) === 3) break;
  }
  expect(prices).toEqual([[1], [1, 2, 3]]);
});

test('a loop that is too slow gets what waits for it and then fails, and can go on after its last one', async () => {
  const pod = await Pod.start(cleanup);
  const client = await connected(pod);
  const slow = client.signals({ limit: 3 });
  await publish(pod, 8);
  const prices: number[] = [];
  let last: string | undefined;
  const loop = async (): Promise<void> => {
    for await (const { signal: one, offset } of slow) {
      if (prices.length === 0) await until('the rest', () => client.offset?.endsWith(':8'));
      prices.push(one.price);
      last = offset;
    }
  };
  await until('all of them at the client', () => client.offset?.endsWith(':8'), { seen: () => client.offset });
  await expect(loop()).rejects.toMatchObject({ name: 'SignalError', code: 'buffer_full' });
  expect(prices).toEqual([1, 2, 3]);
  const again = cleanup.add(connectSignals(pod.url, { after: last }), (one) => one.close());
  for await (const { signal: one } of again.signals()) {
    if (prices.push(one.price) === 8) break;
  }
  expect(prices).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});
