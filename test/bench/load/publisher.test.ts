import { afterEach, expect, test } from 'vitest';
import { isSignal, nowMicros } from '../../../bench/load/message.js';
import { publishOpenLoop } from '../../../bench/load/publisher.js';
import { signalSchema } from '../../../src/contract/events.js';
import { Cleanup } from '../../support/processes.js';
import { RedisServer } from '../../support/redis.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Heard {
  readonly n: number;
  readonly due: number;
  readonly at: number;
  readonly text: string;
}

/** Redis has answered the publisher before it has told the listener. */
function all(heard: readonly Heard[], count: number): Promise<boolean> {
  return until(`${count} signals`, () => heard.length >= count, { seen: () => heard.length });
}

async function listen(redis: RedisServer): Promise<Heard[]> {
  const heard: Heard[] = [];
  const subscriber = redis.client(cleanup);
  subscriber.on('message', (_, text) => {
    const { n, at } = JSON.parse(text) as { n: string; at: string };
    heard.push({ n: Number(n), due: Number(at), at: nowMicros(), text });
  });
  await subscriber.subscribe('new_signal');
  return heard;
}

test('signals are published in order, at the rate, and none before it is due', async () => {
  const redis = await RedisServer.start(cleanup);
  const heard = await listen(redis);
  const shares: number[] = [];
  const published = await publishOpenLoop({
    redisUrl: redis.url,
    from: 5,
    signals: 200,
    rate: 400,
    payload: 300,
    onProgress: (share) => shares.push(share),
  });
  await all(heard, 200);
  expect(heard.map(({ n }) => n)).toEqual(Array.from({ length: 200 }, (_, i) => 5 + i));
  for (const [i, { due, at, text }] of heard.entries()) {
    expect(due).toBe(published.firstDue + i * 2500);
    expect(at).toBeGreaterThanOrEqual(due);
    expect(text.length).toBe(300);
  }
  expect(signalSchema.safeParse(JSON.parse(heard[0]?.text ?? '')).success).toBe(true);
  expect(published.millis).toBeGreaterThanOrEqual(497);
  expect(shares.at(-1)).toBe(1);
  expect(isSignal(Buffer.from(`42["new_signal",${heard[0]?.text}]`), 0, 300)).toBe(true);
});

test('a burst is due at one instant, once a second', async () => {
  const redis = await RedisServer.start(cleanup);
  const heard = await listen(redis);
  const { firstDue } = await publishOpenLoop({
    redisUrl: redis.url,
    from: 0,
    signals: 30,
    rate: 1,
    burst: 15,
    payload: 0,
    symbols: 4,
  });
  await all(heard, 30);
  expect(heard.map(({ due }) => due)).toEqual(
    Array.from({ length: 30 }, (_, i) => firstDue + (i < 15 ? 0 : 1_000_000)),
  );
  expect(new Set(heard.map(({ text }) => (JSON.parse(text) as { symbol: string }).symbol)).size).toBe(4);
});

test('signals keep the time at which they were due when the process stood still, and all are sent', async () => {
  const redis = await RedisServer.start(cleanup);
  const heard = await listen(redis);
  setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400), 100);
  const { firstDue, lateMax } = await publishOpenLoop({
    redisUrl: redis.url,
    from: 0,
    signals: 100,
    rate: 200,
    payload: 0,
  });
  await all(heard, 100);
  expect(heard.map(({ due }) => due)).toEqual(Array.from({ length: 100 }, (_, i) => firstDue + i * 5000));
  expect(lateMax).toBeGreaterThan(300);
});

test('publishing to nobody, to a Redis that is not there, or past an abort is an error', async () => {
  const redis = await RedisServer.start(cleanup);
  const plan = { redisUrl: redis.url, from: 0, signals: 2000, rate: 1000, payload: 0 };
  await expect(publishOpenLoop(plan)).rejects.toThrow('Nobody is subscribed');
  await listen(redis);
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error('enough')), 100);
  await expect(publishOpenLoop({ ...plan, abort: abort.signal })).rejects.toThrow('publishing was stopped');
  setTimeout(() => void redis.kill(), 100);
  await expect(publishOpenLoop(plan)).rejects.toThrow('Redis failed: ');
});
