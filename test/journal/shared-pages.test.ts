import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Offset } from '../../src/contract/offset.js';
import type { JournalEntry } from '../../src/journal/journal.js';
import type { Page } from '../../src/journal/page-cache.js';
import { SharedPages } from '../../src/journal/shared-pages.js';
import { JournalPod } from '../support/journal-pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { until } from '../support/until.js';
import { appendAll, message, placeOf, priceOf, range } from './journal-suite.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Who pages are read by: a journal, or the part of it that is tested. */
interface Older {
  older(after: Offset): Promise<readonly JournalEntry[] | undefined>;
}

/** Everything after a place, page by page; what was read until then if the rest is lost. */
async function walk(journal: Older, start: Offset, onLost?: () => void): Promise<JournalEntry[]> {
  const all: JournalEntry[] = [];
  for (let after = start; ;) {
    const page = await journal.older(after);
    if (page === undefined) onLost?.();
    const last = page?.at(-1);
    if (page === undefined || last === undefined) return all;
    all.push(...page);
    after = placeOf(last);
  }
}

/** What a Redis with these entries answers. @param asked - gets what was asked for */
function pagesOf(stored: readonly JournalEntry[], asked: number[] = []): SharedPages {
  const read = (from: number, count: number): Promise<Page> => {
    asked.push(count);
    const entries = stored.filter(({ seq }) => seq >= from).slice(0, count);
    const bytes = entries.reduce((sum, { json }) => sum + json.length, 0);
    return Promise.resolve({ from, entries, isEnd: entries.length < count, bytes });
  };
  return new SharedPages({ read, visible: (entries) => entries });
}

function anEntry(epoch: number, seq: number, bytes = 2): JournalEntry {
  return { epoch: `e${epoch}`, seq, id: String(seq), event: 'new_signal', json: 'x'.repeat(bytes) };
}

/** Epochs of some entries, each begins so far above the one before; the largest have pages of their own. */
const someEpochs = fc.array(
  fc
    .record({
      skip: fc.oneof(fc.nat(3), fc.nat(1_000_000)),
      count: fc.integer({ min: 1, max: 400 }),
      bytes: fc.constantFrom(2, 2, 20_000, 600_000),
    })
    // Reading is paced by what it costs.
    .map((one) => (one.bytes > 100_000 ? { ...one, count: (one.count % 20) + 1 } : one)),
  { minLength: 1, maxLength: 4 },
);

test('from wherever clients start, they read all that follows, across epochs, whatever the size of entries', async () => {
  await fc.assert(
    fc.asyncProperty(someEpochs, fc.array(fc.nat(2000), { maxLength: 12 }), async (epochs, starts) => {
      const stored: JournalEntry[] = [];
      for (const [epoch, { skip, count, bytes }] of epochs.entries()) {
        const first = (stored.at(-1)?.seq ?? 0) + 1 + skip;
        for (let i = 0; i < count; i++) stored.push(anEntry(epoch, first + i, bytes));
      }
      const pages = pagesOf(stored);
      const read = starts.map(async (start) => {
        const index = start % stored.length;
        expect(await walk(pages, placeOf(stored[index] ?? anEntry(0, 0)))).toEqual(stored.slice(index + 1));
      });
      await Promise.all(read);
    }),
    { numRuns: 40 },
  );
});

test('a place is lost where neither its entry nor the next one of its epoch is there', async () => {
  const pages = pagesOf([...range(100, 199).map((seq) => anEntry(0, seq)), anEntry(1, 5000), anEntry(1, 5001)]);
  const after = async (epoch: number, seq: number): Promise<unknown> =>
    (await pages.older({ epoch: `e${epoch}`, seq }))?.[0]?.seq;
  // The first that is kept may follow on the place, and the last of an epoch is followed by another epoch.
  expect(await Promise.all([after(0, 99), after(0, 100), after(0, 199), after(1, 4999)])).toEqual([
    100, 101, 5000, 5000,
  ]);
  expect(await Promise.all([after(0, 98), after(0, 5), after(0, 200), after(0, 5000), after(1, 150)])).toEqual(
    Array(5).fill(undefined),
  );
  expect(await pages.older({ epoch: 'e1', seq: 5001 })).toEqual([]);
});

test('large entries make shorter pages, and small ones make them longer again', async () => {
  const asked: number[] = [];
  const large = range(1, 300).map((seq) => anEntry(0, seq, 300_000));
  const pages = pagesOf([...large, ...range(301, 2000).map((seq) => anEntry(0, seq))], asked);
  expect(await walk(pages, { epoch: 'e0', seq: 0 })).toHaveLength(2000);
  expect(Math.max(...asked.slice(0, 30))).toBe(17);
  expect(asked[30]).toBe(3);
  expect(asked.at(-1)).toBe(129);
});

test('more clients than may wait are refused, and the others get what they want', async () => {
  const pages = pagesOf(range(1, 40_000).map((seq) => anEntry(0, seq)));
  const waiting = range(1, 20_000).map(() => pages.older({ epoch: 'e0', seq: 1 }));
  await expect(pages.older({ epoch: 'e0', seq: 20_000 })).rejects.toThrow('20000 clients already wait');
  const [first] = await Promise.all(waiting);
  expect(first?.[0]?.seq).toBe(2);
});

/** A pod that keeps little in memory, and a journal of large entries. */
async function podWith(count: number): Promise<{ redis: RedisServer; pod: JournalPod; places: Offset[] }> {
  const redis = await RedisServer.start(cleanup);
  const pod = await JournalPod.start(cleanup, { url: redis.url, ringBytes: 200_000 });
  const pad = 'x'.repeat(3000);
  const all = range(1, count).map((price) => ({ ...message(price), json: JSON.stringify({ price, pad }) }));
  const places = await appendAll(pod.journal, all);
  await until('the pod to have read all', () => pod.entries.length === count);
  return { redis, pod, places };
}

/** How many ranges Redis was asked for. */
async function ranges(redis: RedisServer): Promise<number> {
  const stats = await redis.client(cleanup).info('commandstats');
  return Number(/^cmdstat_xrange:calls=(\d+)/m.exec(stats)?.[1] ?? 0);
}

describe('in a journal in Redis', () => {
  test('200 clients at random places read each page about once, and each gets all that follows on its place', async () => {
    const count = 6000;
    const { redis, pod, places } = await podWith(count);
    const before = await ranges(redis);
    // It does not fit into what is kept of pages.
    const starts = range(1, 200).map((n) => (n * 7919) % 5500);
    const read = starts.map(async (index) => {
      const place = places[index] ?? pod.journal.head();
      const prices = (await walk(pod.journal, place)).map(priceOf);
      expect(prices).toEqual(range(index + 2, count));
    });
    await Promise.all(read);
    // Two laps: those that came first begin somewhere in the middle, and the others come after them.
    expect((await ranges(redis)) - before).toBeLessThan((2.5 * count) / 128);
  });

  test('clients whose places were trimmed are told so, all of one page by one read', async () => {
    const { redis, pod, places } = await podWith(1000);
    await redis.client(cleanup).xtrim('{gateway}:journal', 'MAXLEN', 500);
    const before = await ranges(redis);
    const answers = await Promise.all(places.slice(130, 250).map((place) => pod.journal.older(place)));
    expect(answers).toEqual(Array(120).fill(undefined));
    expect((await ranges(redis)) - before).toBeLessThanOrEqual(16);
    expect(await walk(pod.journal, places[499] ?? pod.journal.head())).toHaveLength(500);
  });

  test('while Redis cannot be read, clients are told so, and they read on when it can', async () => {
    const { redis, pod, places } = await podWith(500);
    const place = places[0] ?? pod.journal.head();
    pod.replays.disconnect();
    await until('the connection to be gone', () => pod.replays.status === 'end');
    const answers = await Promise.allSettled(places.slice(0, 300).map((one) => pod.journal.older(one)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['rejected']));
    await pod.replays.connect();
    expect((await walk(pod.journal, place)).map(priceOf)).toEqual(range(2, 500));
    expect(await redis.client(cleanup).ping()).toBe('PONG');
  });

  test('an entry that is deleted after its page was read is not given to the next client', async () => {
    const { pod, places } = await podWith(500);
    const [place = pod.journal.head(), second = place] = places;
    expect((await walk(pod.journal, place)).map(priceOf)).toEqual(range(2, 500));
    await pod.journal.delete(second, 'wrong');
    const all = await walk(pod.journal, place);
    expect(all).toHaveLength(499);
    expect(all.filter(({ deleted }) => deleted).map(placeOf)).toEqual([second]);
    expect(all[0]).toMatchObject({ json: '', ...second });
  });

  test('a page that ended where the journal did is read again when that has grown', async () => {
    const { pod, places } = await podWith(300);
    const { journal } = pod;
    const [place = journal.head()] = places;
    expect(await walk(journal, place)).toHaveLength(299);
    await appendAll(journal, range(301, 400).map(message));
    await until('the pod to have read all', () => pod.entries.length === 400);
    expect((await walk(journal, place)).map(priceOf)).toEqual(range(2, 400));
  });
});
