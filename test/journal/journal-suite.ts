import { afterEach, describe, expect, test } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import { type Offset, formatOffset } from '../../src/contract/offset.js';
import type { DeletingJournal, Journal, JournalEntry, IdempotentJournal } from '../../src/journal/journal.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

/** A journal with what its listener got. */
export interface OpenJournal {
  readonly journal: Journal & IdempotentJournal & DeletingJournal;
  /** What is left of deleted entries, as the listener was told of them. */
  readonly deleted: readonly JournalEntry[];
  readonly entries: readonly JournalEntry[];
  readonly gaps: readonly unknown[];
}

/** A signal with a price of its own, as it goes into a journal. */
export function message(price: number): FeedMessage {
  return { event: 'new_signal', json: JSON.stringify(signal(price)), symbol: 'BTC/USDT', timeframe: '1m' };
}

/** Messages with consecutive prices. */
export function messages(count: number, from = 1): FeedMessage[] {
  return Array.from({ length: count }, (_, i) => message(from + i));
}

/** The price in the payload of an entry or a message. */
export function priceOf({ json }: { readonly json: string }): number {
  return (JSON.parse(json) as { price: number }).price;
}

/** Numbers from one to another, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** The place of an entry alone. */
export function placeOf({ epoch, seq }: Offset): Offset {
  return { epoch, seq };
}

/** The place of the entry that comes so many after a place, in its epoch. */
export function nth({ epoch, seq }: Offset, count: number): Offset {
  return { epoch, seq: seq + count };
}

/** Numbers of entries, counted from a place in their epoch. */
export function counted(start: Offset, entries: readonly Offset[]): number[] {
  return entries.map(({ epoch, seq }) => (epoch === start.epoch ? seq - start.seq : Number.NaN));
}

/** Appends messages in batches. */
export async function appendAll(journal: Journal, all: readonly FeedMessage[], batch = 500): Promise<Offset[]> {
  const places: Offset[] = [];
  for (let i = 0; i < all.length; i += batch) places.push(...(await journal.append(all.slice(i, i + batch))));
  return places;
}

/** Reads everything after a place, page by page, as a replay does. */
export async function readAll(journal: Journal, after: Offset, page = 200): Promise<JournalEntry[]> {
  const all: JournalEntry[] = [];
  let cursor = after;
  for (;;) {
    const entries = await journal.read(cursor, page);
    if (entries === undefined) throw new Error(`what comes after ${JSON.stringify(cursor)} is lost`);
    const last = entries.at(-1);
    if (last === undefined) return all;
    all.push(...entries);
    cursor = placeOf(last);
  }
}

/** Waits until the listener has been given this many entries. */
export async function delivered(open: OpenJournal, count: number): Promise<void> {
  await until(`${count} entries`, () => open.entries.length >= count, {
    seen: () => ({ entries: open.entries.length, head: open.journal.head() }),
  });
}

/** Appends messages no faster than the listener gets them, so that a short journal is not trimmed before it is read. */
async function appendInStep(open: OpenJournal, all: readonly FeedMessage[]): Promise<Offset[]> {
  const places: Offset[] = [];
  for (let i = 0; i < all.length; i += 250) {
    places.push(...(await open.journal.append(all.slice(i, i + 250))));
    const last = places.at(-1)?.seq ?? 0;
    await until('the batch to be delivered', () => open.journal.head().seq >= last, { seen: () => open.gaps });
  }
  return places;
}

/** A journal with 30 entries, some of which are deleted. */
async function without(opened: OpenJournal, ...gone: number[]): Promise<OpenJournal & { places: readonly Offset[] }> {
  const places = [placeOf(opened.journal.head()), ...(await opened.journal.append(messages(30)))];
  await delivered(opened, 30);
  for (const seq of gone) {
    const answer = await opened.journal.delete(places[seq] ?? opened.journal.head(), 'wrong');
    expect(answer).toMatchObject({ outcome: 'deleted', entry: { ...places[seq], event: 'new_signal' } });
  }
  return { ...opened, places };
}

/**
 * What every implementation of `Journal` holds to.
 *
 * @param open - opens a fresh journal that keeps about `maxlen` entries
 */
export function journalContract(name: string, open: (cleanup: Cleanup, maxlen: number) => Promise<OpenJournal>): void {
  describe(`as any journal, ${name}`, () => {
    const cleanup = new Cleanup();
    afterEach(() => cleanup.run());

    test('names a place before anything is in it, and everything comes after that place', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      const start = journal.head();
      expect(await journal.resolve(start)).toEqual({ ok: true });
      expect(await journal.read(start, 10)).toEqual([]);
      await journal.append(messages(3));
      await delivered(opened, 3);
      expect(await journal.resolve(start)).toEqual({ ok: true });
      expect((await readAll(journal, start)).map(priceOf)).toEqual([1, 2, 3]);
    });

    test('gives each message the next number, in one epoch', async () => {
      const { journal } = await open(cleanup, 1000);
      const start = journal.head();
      const places: Offset[] = [];
      for (const one of messages(20)) places.push(...(await journal.append([one])));
      expect(places).toEqual(range(start.seq + 1, start.seq + 20).map((seq) => ({ epoch: start.epoch, seq })));
    });

    test('keeps every field of a message, and its text to the letter', async () => {
      const opened = await open(cleanup, 1000);
      const start = opened.journal.head();
      const json = ' {"price": 1.50, "big": 12345678901234567890, "text": "€ \\u00e9 \\n 😀", "symbol": "X" } ';
      const all: FeedMessage[] = [
        { event: 'new_signal', json, symbol: 'ETH/USDT', timeframe: '5m' },
        { event: 'status_update', json: '{"service":"a b:c"}', service: 'a b:c' },
      ];
      await opened.journal.append(all);
      await delivered(opened, 2);
      expect(opened.entries).toEqual(
        all.map((one, i) => ({
          ...one,
          ...nth(start, i + 1),
          id: expect.any(String) as unknown,
          ...(opened.entries[i]?.unbrokenFrom !== undefined && { unbrokenFrom: start.seq, unbrokenEpoch: start.epoch }),
        })),
      );
    });

    test('carries a named request out once, however often and at once it comes, and tells another one of that name', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      const start = journal.head();
      const once = { key: 'order 7', fingerprint: 'a' };
      const all = await Promise.all(range(1, 20).map(() => journal.appendIdempotent(messages(3), once)));
      const offsets = range(1, 3).map((n) => ({ epoch: start.epoch, seq: start.seq + n }));
      expect(all.filter(({ outcome }) => outcome === 'appended')).toEqual([{ outcome: 'appended', offsets }]);
      expect(all.filter(({ outcome }) => outcome === 'repeated')).toHaveLength(19);
      for (const answer of all) expect(answer).toMatchObject({ offsets });
      expect(await journal.appendIdempotent(messages(3), { ...once, fingerprint: 'b' })).toEqual({
        outcome: 'conflict',
      });
      await journal.append(messages(1, 50));
      expect(await journal.appendIdempotent(messages(3), once)).toEqual({ outcome: 'repeated', offsets });
      expect(await journal.appendIdempotent(messages(1, 60), { ...once, key: 'order 8' })).toMatchObject({
        outcome: 'appended',
        offsets: [{ seq: start.seq + 5 }],
      });
      await delivered(opened, 5);
      expect(opened.entries.map(priceOf)).toEqual([1, 2, 3, 50, 60]);
    });

    test('appends each batch whole and in order while others append', async () => {
      const opened = await open(cleanup, 10_000);
      const { journal } = opened;
      const batches = range(0, 39).map((b) => messages(1 + (b % 7) * 3, b * 1000));
      const places = await Promise.all(batches.map((batch) => journal.append(batch)));
      const count = batches.flat().length;
      await delivered(opened, count);
      const bySeq = new Map(opened.entries.map((entry) => [entry.seq, priceOf(entry)]));
      for (const [b, batch] of batches.entries()) {
        const first = places[b]?.[0]?.seq ?? Number.NaN;
        expect(places[b]?.map(({ seq }) => seq)).toEqual(range(first, first + batch.length - 1));
        expect(batch.map((_, i) => bySeq.get(first + i))).toEqual(batch.map(priceOf));
      }
      expect(bySeq.size).toBe(count);
    });

    test('gives the listener every entry once, in order', async () => {
      const opened = await open(cleanup, 10_000);
      const { journal, entries } = opened;
      const start = journal.head();
      await Promise.all(range(1, 100).map((n) => journal.append(messages(5, n * 10))));
      await delivered(opened, 500);
      await journal.append([message(9999)]);
      await until('the last entry', () => entries.some((entry) => priceOf(entry) === 9999));
      expect(entries.map(placeOf)).toEqual(
        range(start.seq + 1, start.seq + 501).map((seq) => ({ epoch: start.epoch, seq })),
      );
      expect(new Set(entries.map(({ id }) => id)).size).toBe(501);
      expect(opened.gaps).toEqual([]);
    });

    test('has its head at the entry that the listener was given last', async () => {
      const opened = await open(cleanup, 1000);
      for (const n of range(1, 5)) {
        await opened.journal.append(messages(n));
        await delivered(opened, (n * (n + 1)) / 2);
        const last = opened.entries.at(-1);
        expect(placeOf(opened.journal.head())).toEqual(last && placeOf(last));
      }
    });

    test('gives the listener an entry in the turn of the loop in which that becomes its head', async () => {
      const opened = await open(cleanup, 1000);
      const start = opened.journal.head();
      let apart = 0;
      const over = new AbortController();
      const watch = async (): Promise<void> => {
        while (!over.signal.aborted) {
          await new Promise(setImmediate);
          if (formatOffset(opened.journal.head()) !== formatOffset(opened.entries.at(-1) ?? start)) apart++;
        }
      };
      const watching = watch();
      try {
        await appendAll(opened.journal, messages(600), 20);
        await delivered(opened, 600);
      } finally {
        over.abort();
      }
      await watching;
      expect(apart).toBe(0);
    });

    test('resolves every place that it keeps, and reads from there to the head', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      const start = journal.head();
      const places = [start, ...(await appendAll(journal, messages(60), 7))];
      await delivered(opened, 60);
      for (const [index, place] of places.entries()) {
        expect(await journal.resolve(place)).toEqual({ ok: true });
        expect((await readAll(journal, place, 13)).map(priceOf)).toEqual(range(index + 1, 60));
      }
    });

    test('reads no more than it is asked for', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      const start = journal.head();
      await journal.append(messages(30));
      await delivered(opened, 30);
      for (const limit of [1, 2, 29, 30, 31]) {
        expect((await journal.read(start, limit))?.map(priceOf)).toEqual(range(1, Math.min(limit, 30)));
      }
    });

    test('finds the place that has a number of entries after it, or the oldest', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      const start = placeOf(journal.head());
      expect(placeOf(await journal.back(5))).toEqual(start);
      const places = [start, ...(await appendAll(journal, messages(30)))];
      await delivered(opened, 30);
      for (const count of [0, 1, 29, 30]) expect(placeOf(await journal.back(count))).toEqual(places[30 - count]);
      for (const count of [31, 1000, Infinity]) expect(placeOf(await journal.back(count))).toEqual(start);
    });

    test('reads everything that it keeps from the oldest place that it names', async () => {
      const opened = await open(cleanup, 300);
      const { journal } = opened;
      await appendInStep(opened, messages(20_000));
      const oldest = await journal.back(Infinity);
      expect(await journal.resolve(oldest)).toEqual({ ok: true });
      const prices = (await readAll(journal, oldest)).map(priceOf);
      expect(prices.length).toBeGreaterThanOrEqual(300);
      expect(prices).toEqual(range(20_001 - prices.length, 20_000));
    });

    test('reads nothing after its head', async () => {
      const opened = await open(cleanup, 1000);
      await opened.journal.append(messages(3));
      await delivered(opened, 3);
      expect(await opened.journal.read(opened.journal.head(), 10)).toEqual([]);
    });

    test('never reads beyond the head, and never past an entry, while others append', async () => {
      const opened = await open(cleanup, 100_000);
      const { journal } = opened;
      const total = 4000;
      let cursor = journal.head();
      const got: number[] = [];
      const appending = appendAll(journal, messages(total), 20);
      await until(
        'everything to be read',
        async () => {
          const entries = (await journal.read(cursor, 50)) ?? [];
          const head = journal.head();
          for (const entry of entries) {
            if (entry.seq > head.seq) throw new Error(`read ${entry.seq} with the head at ${head.seq}`);
            got.push(priceOf(entry));
            cursor = placeOf(entry);
          }
          // The pause of `until` between two looks would make the reading late.
          for (let more = (await journal.read(cursor, 50)) ?? []; more.length > 0;) {
            got.push(...more.map(priceOf));
            cursor = placeOf(more.at(-1) ?? cursor);
            more = (await journal.read(cursor, 50)) ?? [];
          }
          return got.length >= total;
        },
        { limit: 30_000, seen: () => got.length },
      );
      await appending;
      expect(got).toEqual(range(1, total));
    });

    test('says that a place is too old when what follows it is no longer kept', async () => {
      const opened = await open(cleanup, 300);
      const { journal } = opened;
      const start = journal.head();
      const places = [start, ...(await appendInStep(opened, messages(20_000)))];
      for (const index of [0, 1, 500]) {
        expect(await journal.resolve(places[index] ?? start)).toEqual({ ok: false, reason: 'expired' });
      }
      for (const index of [19_700, 19_900, 20_000]) {
        const place = places[index] ?? start;
        expect(await journal.resolve(place)).toEqual({ ok: true });
        expect((await readAll(journal, place)).map(priceOf)).toEqual(range(index + 1, 20_000));
      }
    });

    test('says of a place that is lost after it was resolved that it is lost', async () => {
      const opened = await open(cleanup, 300);
      const { journal } = opened;
      const start = journal.head();
      await journal.append(messages(10));
      await delivered(opened, 10);
      expect(await journal.resolve(start)).toEqual({ ok: true });
      await appendInStep(opened, messages(20_000, 11));
      expect(await journal.read(start, 10)).toBeUndefined();
    });

    describe('deletes an entry', () => {
      test('whose payload nobody reads any more, while its place stays', async () => {
        const gone = [1, 2, 15, 29, 30];
        const { journal, places, deleted } = await without(await open(cleanup, 1000), ...gone);
        expect(journal.head()).toEqual(expect.objectContaining(places[30] ?? {}));
        for (const [index, place] of places.entries()) {
          expect(await journal.resolve(place)).toEqual({ ok: true });
          const read = await readAll(journal, place, 7);
          expect(read.map(placeOf)).toEqual(places.slice(index + 1));
          for (const entry of read) {
            expect([entry.deleted, entry.json === '']).toEqual(
              gone.includes(entry.seq - (places[0]?.seq ?? 0)) ? [true, true] : [undefined, false],
            );
          }
        }
        for (const count of [0, 1, 2, 16, 29, 30]) {
          expect(placeOf(await journal.back(count))).toEqual(places[30 - count]);
        }
        expect(placeOf(await journal.back(Infinity))).toEqual(places[0]);
        expect(deleted.map(placeOf)).toEqual(gone.map((seq) => places[seq]));
        expect(deleted.every(({ json, symbol }) => json === '' && symbol === 'BTC/USDT')).toBe(true);
      });

      test('and all of them, and goes on with the next number', async () => {
        const opened = await without(await open(cleanup, 1000), ...range(1, 30));
        const { journal, places } = opened;
        const [next] = await journal.append([message(31)]);
        await delivered(opened, 31);
        const start = places[0] ?? journal.head();
        expect(next).toEqual(nth(start, 31));
        const read = await readAll(journal, start);
        expect(counted(start, read)).toEqual(range(1, 31));
        expect(read.map(({ json }) => json === '')).toEqual(range(1, 31).map((n) => n < 31));
      });

      test('once, however often and at once it is asked to', async () => {
        const { journal, places, deleted } = await without(await open(cleanup, 1000));
        const place = places[7] ?? journal.head();
        const answers = await Promise.all(range(1, 10).map(() => journal.delete(place, 'wrong')));
        expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual([
          'deleted',
          ...range(1, 9).map(() => 'repeated'),
        ]);
        expect(await journal.delete(place, 'another reason')).toMatchObject({
          outcome: 'repeated',
          entry: { symbol: 'BTC/USDT' },
        });
        expect(deleted).toHaveLength(1);
      });

      test('that somebody has read and not passed on yet', async () => {
        const { journal, places } = await without(await open(cleanup, 1000));
        const read = (await journal.read(places[0] ?? journal.head(), 30)) ?? [];
        const ninth = places[9] ?? journal.head();
        await journal.delete(ninth, 'wrong');
        const now = read.map((entry) => journal.current(entry));
        expect(now.map(placeOf)).toEqual(read.map(placeOf));
        expect(now.filter(({ deleted }) => deleted).map(({ seq, json }) => [seq, json])).toEqual([[ninth.seq, '']]);
        expect(now.filter(({ seq }) => seq !== ninth.seq)).toEqual(read.filter(({ seq }) => seq !== ninth.seq));
      });

      test('while others append, and none of theirs', async () => {
        const opened = await open(cleanup, 10_000);
        const { journal } = opened;
        const start = journal.head();
        const first = await journal.append(messages(100));
        const appending = appendAll(journal, messages(900, 101), 10);
        const answers = await Promise.all(first.map((place) => journal.delete(place, 'wrong')));
        await appending;
        await delivered(opened, 1000);
        expect(new Set(answers.map(({ outcome }) => outcome))).toEqual(new Set(['deleted']));
        const read = await readAll(journal, start);
        expect(counted(start, read)).toEqual(range(1, 1000));
        expect(
          counted(
            start,
            read.filter(({ deleted }) => deleted),
          ),
        ).toEqual(range(1, 100));
        expect(read.slice(100).map(priceOf)).toEqual(range(101, 1000));
        expect(counted(start, opened.entries)).toEqual(range(1, 1000));
        expect(opened.gaps).toEqual([]);
      });

      test('and says which is not there: ahead of the head, before the first, of another journal', async () => {
        const { journal, places } = await without(await open(cleanup, 1000));
        const start = places[0] ?? journal.head();
        const { epoch } = start;
        for (const place of [
          { epoch, seq: 0 },
          start,
          nth(start, 31),
          { epoch, seq: Number.MAX_SAFE_INTEGER },
          { epoch: 'another', seq: 0 },
          { epoch: 'another', seq: 5 },
          { epoch: 'another', seq: 31 },
        ]) {
          expect(await journal.delete(place, 'wrong')).toEqual({ outcome: 'missing' });
        }
        expect((await readAll(journal, places[0] ?? journal.head())).map(priceOf)).toEqual(range(1, 30));
      });

      test('and says of one that is no longer kept that it is too old', async () => {
        const opened = await open(cleanup, 300);
        const { journal } = opened;
        const places = await appendInStep(opened, messages(20_000));
        for (const index of [0, 1, 500]) {
          expect(await journal.delete(places[index] ?? journal.head(), 'wrong')).toEqual({ outcome: 'expired' });
        }
        expect(await journal.delete(places[19_999] ?? journal.head(), 'wrong')).toMatchObject({ outcome: 'deleted' });
      });

      test('so that it is gone when it is no longer kept, as any other', async () => {
        const opened = await open(cleanup, 300);
        const { journal } = opened;
        const start = placeOf(journal.head());
        const places = [start, ...(await appendInStep(opened, messages(20_000)))];
        const gone = [19_500, 19_701, 19_702, 19_999];
        for (const seq of gone) await journal.delete(places[seq] ?? start, 'wrong');
        await appendInStep(opened, messages(250, 20_001));
        const oldest = await journal.back(Infinity);
        expect(await journal.resolve(oldest)).toEqual({ ok: true });
        const read = await readAll(journal, oldest);
        const [from = 0] = counted(start, [oldest]);
        expect(counted(start, read)).toEqual(range(from + 1, 20_250));
        expect(
          counted(
            start,
            read.filter(({ deleted }) => deleted),
          ),
        ).toEqual(gone.filter((n) => n > from));
        await appendInStep(opened, messages(5000, 20_251));
        for (const seq of gone) {
          expect(await journal.resolve(places[seq] ?? start)).toEqual({ ok: false, reason: 'expired' });
        }
      });

      test('of a named request, whose repetition still appends nothing', async () => {
        const opened = await open(cleanup, 1000);
        const { journal } = opened;
        const start = placeOf(journal.head());
        const once = { key: 'order 7', fingerprint: 'a' };
        const { offsets: [place] = [] } = (await journal.appendIdempotent(messages(1), once)) as { offsets?: Offset[] };
        await delivered(opened, 1);
        await journal.delete(place ?? start, 'wrong');
        expect(await journal.appendIdempotent(messages(1), once)).toMatchObject({
          outcome: 'repeated',
          offsets: [place],
        });
        expect((await readAll(journal, start)).map(({ deleted }) => deleted)).toEqual([true]);
      });
    });

    test('says of a place of another journal that its epoch is not this one', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      await journal.append(messages(10));
      await delivered(opened, 10);
      for (const seq of [0, 1, 10, 11, 1_000_000]) {
        expect(await journal.resolve({ epoch: 'another', seq })).toEqual({ ok: false, reason: 'epoch' });
      }
    });

    test('says of a place that was never reached that it is none of its own', async () => {
      const opened = await open(cleanup, 1000);
      const { journal } = opened;
      await journal.append(messages(10));
      await delivered(opened, 10);
      const { epoch, seq } = journal.head();
      expect(await journal.resolve({ epoch, seq: seq + 1 })).toEqual({ ok: false, reason: 'epoch' });
    });
  });
}
