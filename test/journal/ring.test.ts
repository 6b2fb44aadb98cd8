import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Offset } from '../../src/contract/offset.js';
import type { JournalEntry } from '../../src/journal/journal.js';
import { Ring } from '../../src/journal/ring.js';

/** What happens to a ring: entries of the same epoch, an entry of a new one, or all is forgotten. */
type Step =
  | { readonly kind: 'push'; readonly size: number }
  | { readonly kind: 'epoch'; readonly size: number; readonly seq: number }
  | { readonly kind: 'reset'; readonly sameEpoch: boolean; readonly seq: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('push' as const), size: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('epoch' as const),
      size: fc.nat(20),
      seq: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('reset' as const), sameEpoch: fc.boolean(), seq: fc.nat(30) }),
  },
);

/** What a ring counts that these entries alone were put into. */
function bytesOf(entries: readonly JournalEntry[]): number {
  const ring = new Ring({ epoch: 'none', seq: 0 }, Math.max(1, entries.length));
  for (const entry of entries) ring.push(entry);
  return ring.bytes;
}

/** The same as a ring, in an array, with no thought for speed. */
class Model {
  entries: JournalEntry[] = [];
  /** Entries that were the first of their epoch: what lies before them belongs to another one. */
  readonly firsts = new Set<JournalEntry>();
  base: Offset;

  constructor(base: Offset) {
    this.base = base;
  }

  get head(): Offset {
    const newest = this.entries.at(-1);
    return newest === undefined ? this.base : { epoch: newest.epoch, seq: newest.seq };
  }

  push(entry: JournalEntry, maxEntries: number, maxBytes: number): void {
    if (entry.epoch !== this.head.epoch) this.firsts.add(entry);
    this.entries.push(entry);
    while (this.entries.length > maxEntries || (this.entries.length > 1 && bytesOf(this.entries) > maxBytes)) {
      const oldest = this.entries.shift();
      if (oldest !== undefined) this.base = { epoch: oldest.epoch, seq: oldest.seq };
    }
  }

  after({ epoch, seq }: Offset): JournalEntry[] | undefined {
    if (epoch === this.base.epoch && seq === this.base.seq) return this.entries;
    const index = this.entries.findIndex((entry) => entry.epoch === epoch && entry.seq === seq);
    if (index >= 0) return this.entries.slice(index + 1);
    const first = this.entries.findIndex(
      (entry) => this.firsts.has(entry) && entry.epoch === epoch && entry.seq === seq + 1,
    );
    return first >= 0 ? this.entries.slice(first) : undefined;
  }

  knowsEpoch(epoch: string): boolean {
    return this.base.epoch === epoch || this.entries.some((entry) => entry.epoch === epoch);
  }
}

const place = ({ epoch, seq }: Offset): Offset => ({ epoch, seq });

/** What a ring, or its model, says of a place. */
interface Answers {
  readonly place: Offset;
  readonly covers: boolean;
  readonly after: readonly JournalEntry[] | undefined;
  readonly firstThree: readonly JournalEntry[] | undefined;
  readonly get: JournalEntry | undefined;
  readonly knowsEpoch: boolean;
}

/** How far back from the head is looked. */
const BACK = [0, 1, 5, Infinity];

/** Does the same to a ring and to its model, and notes what each says: after every step, and of every place at the end. */
function play(steps: readonly Step[], maxEntries: number, maxBytes: number): { ring: unknown[]; model: unknown[] } {
  let epochs = 0;
  let count = 0;
  const start = { epoch: 'e0', seq: 0 };
  const ring = new Ring(start, maxEntries, maxBytes);
  const model = new Model(start);
  const said: { ring: unknown[]; model: unknown[] } = { ring: [], model: [] };
  const places: Offset[] = [start, { epoch: 'never', seq: 0 }, { epoch: 'never', seq: 1 }];
  for (const one of steps) {
    if (one.kind === 'reset') {
      const epoch = one.sameEpoch ? model.head.epoch : `e${++epochs}`;
      const base = { epoch, seq: one.sameEpoch ? model.head.seq + one.seq : one.seq };
      ring.reset(base);
      model.entries = [];
      model.base = base;
      places.push(base);
    } else {
      const { epoch, seq } =
        one.kind === 'epoch'
          ? { epoch: `e${++epochs}`, seq: one.seq }
          : { epoch: model.head.epoch, seq: model.head.seq + 1 };
      const next: JournalEntry = { epoch, seq, id: String(++count), event: 'new_signal', json: 'x'.repeat(one.size) };
      ring.push(next);
      model.push(next, maxEntries, maxBytes);
      places.push({ epoch, seq: seq - 1 }, { epoch, seq });
    }
    said.ring.push([ring.size, place(ring.head), place(ring.base), ring.newest, BACK.map((n) => place(ring.back(n)))]);
    const newestFirst = [model.base, ...model.entries.map(place)].toReversed();
    const back = BACK.map((n) => newestFirst[n] ?? model.base);
    said.model.push([model.entries.length, model.head, model.base, model.entries.at(-1), back]);
  }
  places.push({ ...model.head, seq: model.head.seq + 1 });
  for (const at of places) {
    const after = model.after(at);
    const expected: Answers = {
      place: at,
      covers: after !== undefined,
      after,
      firstThree: after?.slice(0, 3),
      get: model.entries.find(({ epoch, seq }) => epoch === at.epoch && seq === at.seq),
      knowsEpoch: model.knowsEpoch(at.epoch),
    };
    said.model.push(expected);
    const given: Answers = {
      place: at,
      covers: ring.covers(at),
      after: ring.after(at, Infinity),
      firstThree: ring.after(at, 3),
      get: ring.get(at),
      knowsEpoch: ring.knowsEpoch(at.epoch),
    };
    said.ring.push(given);
  }
  return said;
}

const someSteps = fc.array(step, { maxLength: 60 });
const someLimit = fc.integer({ min: 1, max: 12 });

test('a ring limited by count behaves as an array that drops its oldest entries', () => {
  fc.assert(
    fc.property(someSteps, someLimit, (...args) => {
      const { ring, model } = play(...args, Infinity);
      expect(ring).toEqual(model);
    }),
    { numRuns: 1000 },
  );
});

test('a ring limited by bytes too behaves as an array that drops its oldest entries and keeps the newest', () => {
  fc.assert(
    fc.property(someSteps, someLimit, fc.nat(5000), (...args) => {
      const { ring, model } = play(...args);
      expect(ring).toEqual(model);
    }),
    { numRuns: 1000 },
  );
});

function anEntry(epoch: string, seq: number): JournalEntry {
  return { epoch, seq, id: `${epoch}${seq}`, event: 'new_signal', json: '{}' };
}

test('the place before the first entry of an epoch is covered while that entry is here', () => {
  const ring = new Ring({ epoch: 'a', seq: 0 }, 3);
  for (const one of [anEntry('a', 1), anEntry('a', 2), anEntry('b', 3), anEntry('b', 4)]) ring.push(one);
  expect(ring.after({ epoch: 'b', seq: 2 }, 10)?.map(({ id }) => id)).toEqual(['b3', 'b4']);
  ring.push(anEntry('b', 5));
  ring.push(anEntry('b', 6));
  expect(ring.covers({ epoch: 'b', seq: 2 })).toBe(false);
});

test('a place that a lost tail had is not a place of the epoch that came after it', () => {
  const ring = new Ring({ epoch: 'a', seq: 0 }, 10);
  for (const one of [anEntry('a', 1), anEntry('b', 4), anEntry('b', 5)]) ring.push(one);
  expect(ring.covers({ epoch: 'a', seq: 4 })).toBe(false);
  expect(ring.get({ epoch: 'a', seq: 5 })).toBeUndefined();
  expect(ring.after({ epoch: 'a', seq: 1 }, 10)?.map(({ id }) => id)).toEqual(['b4', 'b5']);
});

function entryWith(seq: number, json: string, id = String(seq)): JournalEntry {
  return { epoch: 'a', seq, id, event: 'new_signal', json };
}

test('a ring puts another entry into the place of one with the same id, and counts what that takes', () => {
  const three = [1, 2, 3].map((seq) => entryWith(seq, 'x'.repeat(500)));
  const ring = new Ring({ epoch: 'a', seq: 0 }, 10, bytesOf(three));
  for (const one of three) ring.push(one);
  expect(ring.size).toBe(3);
  expect(ring.replace(entryWith(2, '', 'other'))).toBe(false);
  expect(ring.replace(entryWith(4, ''))).toBe(false);
  expect(ring.replace({ ...entryWith(2, ''), epoch: 'b' })).toBe(false);
  expect(ring.replace(entryWith(2, ''))).toBe(true);
  expect(ring.after({ epoch: 'a', seq: 0 }, 9)?.map(({ json }) => json.length)).toEqual([500, 0, 500]);
  // There is room again.
  ring.push(entryWith(4, 'x'.repeat(100)));
  expect(ring.size).toBe(4);
  ring.push(entryWith(5, 'x'));
  expect(ring.base.seq).toBe(1);
});

/** What an entry and others like it take. @param more - in what they differ */
function sizeWith(...more: readonly Partial<JournalEntry>[]): number {
  return bytesOf([{}, ...more].map((one, i) => ({ ...entryWith(i + 1, 'x'.repeat(1000)), symbol: 'BTC', ...one })));
}

test('an entry takes more of a ring with a text beyond Latin-1, a long symbol, or a symbol of its own', () => {
  expect(sizeWith({ json: `€${'x'.repeat(999)}` }) - sizeWith({})).toBe(1000);
  expect(sizeWith({ symbol: 'ETH' })).toBeGreaterThan(sizeWith({}) + 500);
  expect(sizeWith({ symbol: 'E'.repeat(60) })).toBeGreaterThan(sizeWith({ symbol: 'ETH' }) + 60);
});

test('a ring that has dropped or forgotten entries counts only what is left', () => {
  const ring = new Ring({ epoch: 'a', seq: 0 }, 5);
  for (let seq = 1; seq <= 1000; seq++) ring.push({ ...entryWith(seq, '{}'), symbol: `S${seq}`, timeframe: '1m' });
  expect(ring.bytes).toBe(bytesOf(ring.after({ epoch: 'a', seq: 995 }, 5) ?? []));
  ring.reset({ epoch: 'b', seq: 0 });
  expect(ring.bytes).toBe(0);
});
