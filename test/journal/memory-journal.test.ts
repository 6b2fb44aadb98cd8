import { afterEach, expect, test, vi } from 'vitest';
import { IDEMPOTENCY_MS, type JournalEntry } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { until } from '../support/until.js';
import { type OpenJournal, journalContract, message, messages, priceOf, readAll } from './journal-suite.js';

function openMemory(maxEntries: number, maxBytes = Infinity): OpenJournal & { journal: MemoryJournal } {
  const entries: JournalEntry[] = [];
  const gaps: unknown[] = [];
  const deleted: JournalEntry[] = [];
  const journal = new MemoryJournal({
    maxEntries,
    maxBytes,
    listener: {
      onEntry: (entry) => entries.push(entry),
      onGap: (...gap) => gaps.push(gap),
      onDeleted: (entry) => deleted.push(entry),
    },
  });
  return { journal, entries, gaps, deleted };
}

afterEach(() => {
  vi.useRealTimers();
});

journalContract('the one in memory', (_, maxlen) => Promise.resolve(openMemory(maxlen)));

test('a journal in memory keeps exactly as many entries as it may', async () => {
  const { journal } = openMemory(5);
  const start = journal.head();
  const places = await journal.append(messages(8));
  const oldest = places[2] ?? start;
  expect((await readAll(journal, oldest)).map(priceOf)).toEqual([4, 5, 6, 7, 8]);
  expect(await journal.resolve(places[1] ?? start)).toEqual({ ok: false, reason: 'expired' });
});

test('a journal in memory has told its listener by the time an append is under way', () => {
  const { journal, entries } = openMemory(5);
  void journal.append([message(1)]);
  expect(entries.map(priceOf)).toEqual([1]);
});

test('two journals in memory have different epochs', () => {
  expect(openMemory(5).journal.head().epoch).not.toBe(openMemory(5).journal.head().epoch);
});

test('a journal in memory knows a named request for five minutes, and not a moment longer', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const { journal, entries } = openMemory(5);
  const once = { key: 'order 7', fingerprint: 'a' };
  expect(IDEMPOTENCY_MS).toBe(5 * 60 * 1000);
  await journal.appendIdempotent(messages(1), once);
  vi.setSystemTime(Date.now() + IDEMPOTENCY_MS - 1);
  expect(await journal.appendIdempotent(messages(1), once)).toMatchObject({ outcome: 'repeated' });
  vi.setSystemTime(Date.now() + 1);
  expect(await journal.appendIdempotent(messages(1), once)).toMatchObject({ outcome: 'appended' });
  expect(entries).toHaveLength(2);
});

test('a journal in memory that is full lets its oldest entries go, and says so', async () => {
  const { journal } = openMemory(1000, 100_000);
  const places = await journal.append(messages(1000));
  expect(await journal.resolve(places[0] ?? journal.head())).toEqual({ ok: false, reason: 'expired' });
  expect(await journal.older()).toBeUndefined();
  const kept = await readAll(journal, await journal.back(Infinity));
  expect(kept.length).toBeGreaterThan(100);
  expect(kept.map(priceOf).at(-1)).toBe(1000);
});

test('a journal in memory that is full forgets its oldest named requests first', async () => {
  const { journal } = openMemory(1000, 100_000);
  for (let n = 1; n <= 200; n++) await journal.appendIdempotent([message(n)], { key: `${n}`, fingerprint: 'a' });
  const repeated = await journal.appendIdempotent([message(200)], { key: '200', fingerprint: 'a' });
  expect(repeated).toEqual({
    outcome: 'repeated',
    offsets: [journal.head()].map(({ epoch, seq }) => ({ epoch, seq })),
  });
  const forgotten = await journal.appendIdempotent([message(1)], { key: '1', fingerprint: 'a' });
  expect(forgotten.outcome).toBe('appended');
});

test('a journal in memory waits for its listener to have room, and then appends each batch whole, in order', async () => {
  const entries: JournalEntry[] = [];
  let isFull = true;
  const waiting: (() => void)[] = [];
  const journal = new MemoryJournal({
    maxEntries: 100,
    maxBytes: Infinity,
    listener: {
      onEntry: (entry) => {
        entries.push(entry);
        isFull = true;
      },
      onGap: () => {},
      room: () => (isFull ? new Promise((resolve) => waiting.push(resolve)) : undefined),
    },
  });
  const makeRoom = (): void => {
    isFull = false;
    for (const resolve of waiting.splice(0)) resolve();
  };
  const batches = [messages(3), [message(4), message(5)]].map((batch) => journal.append(batch));
  expect(entries).toEqual([]);
  makeRoom();
  await batches[0];
  expect(entries.map(priceOf)).toEqual([1, 2, 3]);
  await until('the second batch to be in', () => {
    makeRoom();
    return entries.length === 5;
  });
  expect((await Promise.all(batches)).flat().map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
});
