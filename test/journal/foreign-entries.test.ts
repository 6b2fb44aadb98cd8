import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import { JournalPod } from '../support/journal-pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const JOURNAL = '{gateway}:journal';
const META = '{gateway}:meta';

function message(price: number): FeedMessage {
  return { event: 'new_signal', json: JSON.stringify(signal(price)), symbol: 'BTC/USDT', timeframe: '1m' };
}

function pricesIn(entries: readonly { readonly json: string }[]): number[] {
  return entries.map(({ json }) => (JSON.parse(json) as { price: number }).price);
}

let redis: RedisServer;
let hand: Redis;
let pod: JournalPod;
beforeEach(async () => {
  redis = await RedisServer.start(cleanup);
  hand = redis.client(cleanup);
  // A small ring: what is older comes from Redis.
  pod = await JournalPod.start(cleanup, { url: redis.url, ringBytes: 2000 });
});

/** Appends one message after the other, with so many foreign entries behind each. */
async function fill(count: number, foreign: number): Promise<void> {
  for (let price = 1; price <= count; price++) {
    await pod.journal.append([message(price)]);
    for (let i = 0; i < foreign; i++) await hand.xadd(JOURNAL, '*', 'x', 'y');
  }
  await until('the reader to have all', () => pod.entries.length === count, { seen: () => pod });
}

/** How often streams were read, and for how many seconds Redis has been up. */
async function stats(): Promise<{ reads: number; seconds: number }> {
  const info = await hand.info('everything');
  const valueOf = (pattern: RegExp): number => Number(pattern.exec(info)?.[1] ?? 0);
  return { reads: valueOf(/cmdstat_xread:calls=(\d+)/), seconds: valueOf(/uptime_in_seconds:(\d+)/) };
}

const ALL = Array.from({ length: 40 }, (_, i) => i + 1);

describe('a journal with 200 foreign entries behind each of its own', () => {
  beforeEach(() => fill(ALL.length, 200), 60_000);

  test('is read as if they were not there: live, page by page, backwards, and by a fresh pod', async () => {
    expect(pricesIn(pod.entries)).toEqual(ALL);
    expect(pod.gaps).toEqual([]);
    const begin = await pod.journal.back(Infinity);
    const got: number[] = [];
    for (let after = begin; ;) {
      const page = (await pod.journal.older(after)) ?? [];
      const last = page.at(-1);
      if (last === undefined) break;
      got.push(...pricesIn(page));
      after = last;
      if (last.seq >= pod.journal.head().seq) break;
    }
    expect(got).toEqual(ALL);
    expect(pricesIn((await pod.journal.read(begin, 1000)) ?? [])).toEqual(ALL);
    const back = await pod.journal.back(30);
    expect(back.seq).toBe(pod.journal.head().seq - 30);
    expect(await pod.journal.resolve(back)).toEqual({ ok: true });
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    const first = await fresh.journal.back(Infinity);
    expect(pricesIn((await fresh.journal.read(first, 1000)) ?? [])).toEqual(ALL);
  });

  test('does not keep Redis busy while nothing is appended', async () => {
    const before = await stats();
    const after = await until('three seconds to pass', async () => {
      const now = await stats();
      return now.seconds - before.seconds >= 3 && now;
    });
    // One waits for a second.
    expect((after.reads - before.reads) / (after.seconds - before.seconds)).toBeLessThan(5);
  });
});

test('a status that finds another type in its place is appended once, and the key is set aside', async () => {
  await hand.set('{gateway}:statuses', 'by hand');
  const json = '{"service":"S","status":"active","message":"m"}';
  const [offset] = await pod.journal.append([{ event: 'status_update', json, service: 'S' }]);
  expect(await hand.xlen(JOURNAL)).toBe(1);
  expect(await hand.hget('{gateway}:statuses', 'S')).toBe(`${offset?.epoch}:${offset?.seq} ${json}`);
  const [aside] = await hand.keys('{gateway}:set-aside:*:statuses');
  expect(await hand.get(aside ?? '')).toBe('by hand');
});

test('entries of the epoch that its seq does not know of count, and the next one follows them', async () => {
  await pod.journal.append([message(1), message(2), message(3)]);
  const seq = Number(await hand.hget(META, 'seq'));
  await hand.hset(META, 'seq', String(seq - 2));
  // Without a look at the epoch, which would compare what the pod has seen.
  const [offset] = await pod.journal.append([message(4)]);
  await until('the reader to have all', () => pod.entries.length === 4, { seen: () => pod });
  expect(offset?.seq).toBeGreaterThan(seq);
  expect(pricesIn(pod.entries)).toEqual([1, 2, 3, 4]);
  expect(pod.gaps).toEqual([]);
});

test.each([
  ['a little ahead', (seq: number) => `${seq + 100}-0`],
  ['far ahead', (seq: number) => `${seq + 10_000_000_000}-5`],
  ['the very largest', () => '18446744073709551615-18446744073709551615'],
])('an id that is %s: the next message is appended in a new epoch, above all that were seen', async (_, idFor) => {
  const [first] = await pod.journal.append([message(1)]);
  await until('the first', () => pod.entries.length === 1);
  const id = idFor(first?.seq ?? 0);
  await hand.xadd(JOURNAL, id, 'x', 'y');
  const [second] = await pod.journal.append([message(2)]);
  expect(second?.seq).toBeGreaterThan(first?.seq ?? Infinity);
  expect(second?.epoch).not.toBe(first?.epoch);
  await until('the second', () => pod.entries.length === 2, { limit: 10_000, seen: () => pod });
  expect(pod.gaps).toEqual([]);
  // Numbers stay near the time, so that whoever comes first to an empty Redis begins above them.
  expect(second?.seq).toBeLessThan((Date.now() + 3_600_000) * 1000);
});
