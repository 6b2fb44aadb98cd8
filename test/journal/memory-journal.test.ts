import { afterEach, expect, test, vi } from 'vitest';
import { IDEMPOTENCY_MS, type JournalEntry } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { type OpenJournal, journalContract, message, messages, priceOf, readAll } from './journal-suite.js';

function openMemory(maxlen: number): OpenJournal & { journal: MemoryJournal } {
  const entries: JournalEntry[] = [];
  const gaps: unknown[] = [];
  const deleted: JournalEntry[] = [];
  const journal = new MemoryJournal(maxlen, {
    onEntry: (entry) => entries.push(entry),
    onGap: (...gap) => gaps.push(gap),
    onDeleted: (entry) => deleted.push(entry),
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
