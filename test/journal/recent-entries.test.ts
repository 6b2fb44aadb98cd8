import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVERYBODY, ROOM_OF_ALL, roomsOfEntry } from '../../src/contract/rooms.js';
import { type JournalEntry, type LookLimits, type RecentEntries, tombstone } from '../../src/journal/journal.js';
import { Ring } from '../../src/journal/ring.js';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'XRP/USDT'];
const TIMEFRAMES = ['1m', '1h'];

/** What happens to a ring. `age` counts back from the newest entry. */
type Step =
  | { readonly kind: 'push'; readonly topic: number; readonly bytes: number; readonly isFirst: boolean }
  | { readonly kind: 'delete'; readonly age: number }
  | { readonly kind: 'reset' };

const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      topic: fc.nat(SYMBOLS.length * TIMEFRAMES.length),
      bytes: fc.nat(40),
      isFirst: fc.nat(9).map((n) => n === 0),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), age: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reset' as const }) },
);

const aRoom = fc.constantFrom(
  EVERYBODY,
  'feed:nobody',
  ...SYMBOLS.flatMap((symbol) => [`feed:${symbol}`, ...TIMEFRAMES.map((one) => `feed:${symbol}@${one}`)]),
);
const someRooms = fc.oneof(
  { weight: 9, arbitrary: fc.uniqueArray(aRoom, { maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constant([EVERYBODY, ROOM_OF_ALL]) },
);
const someLimits = fc.record({ entries: fc.integer({ min: 1, max: 20 }), looks: fc.integer({ min: 1, max: 60 }) });

/** Entries by their number, and those that were the first of their epoch. */
interface Model {
  readonly entries: Map<number, JournalEntry>;
  readonly firsts: Set<number>;
}

/** Does to a ring what the steps say; the model keeps everything that was put in since the last reset. */
function play(steps: readonly Step[], ring: Ring): Model {
  const model: Model = { entries: new Map(), firsts: new Set() };
  let epoch = 0;
  for (const step of steps) {
    const { head, end } = ring;
    if (step.kind === 'reset') {
      ring.reset({ epoch: head.epoch, seq: head.seq + 5 });
      model.entries.clear();
      model.firsts.clear();
      continue;
    }
    if (step.kind === 'delete') {
      const entry = ring.at(end - 1 - step.age);
      if (entry === undefined) continue;
      ring.replace(tombstone(entry));
      model.entries.set(end - 1 - step.age, tombstone(entry));
      continue;
    }
    if (step.isFirst) epoch++;
    const symbol = SYMBOLS[step.topic >>> 1];
    const entry: JournalEntry = {
      epoch: `e${epoch}`,
      seq: head.seq + 1,
      id: String(end),
      json: 'x'.repeat(step.bytes),
      ...(symbol === undefined
        ? { event: 'status_update', service: 'feed' }
        : { event: 'new_signal', symbol, timeframe: TIMEFRAMES[step.topic & 1] ?? '' }),
    };
    if (ring.size === 0 || ring.newest?.epoch !== entry.epoch) model.firsts.add(end);
    ring.push(entry);
    model.entries.set(end, entry);
  }
  return model;
}

/** Everything in a range that goes to one of the rooms, found in as many searches as the limits make of it. */
function walk(recent: RecentEntries, rooms: ReadonlySet<string>, from: number, limits: LookLimits): number[] {
  const found: number[] = [];
  for (let at = from; at < recent.end;) {
    const { numbers, upTo, looked } = recent.wanted(rooms, { from: at, to: recent.end }, limits);
    expect(numbers.length).toBeLessThanOrEqual(limits.entries);
    expect(looked).toBeLessThanOrEqual(limits.looks);
    expect(upTo).toBeGreaterThan(at);
    expect(numbers.every((one) => one >= at && one < upTo)).toBe(true);
    found.push(...numbers);
    at = upTo;
  }
  return found;
}

test('entries of some rooms are found as by looking at each, whatever was dropped or deleted, and over new epochs', () => {
  fc.assert(
    fc.property(
      fc.array(aStep, { maxLength: 150 }),
      fc.record({ entries: fc.integer({ min: 1, max: 100 }), bytes: fc.integer({ min: 1, max: 60_000 }) }),
      fc.array(fc.record({ rooms: someRooms, start: fc.nat(150), limits: someLimits }), { minLength: 1, maxLength: 8 }),
      (steps, most, searches) => {
        const ring = new Ring({ epoch: 'e0', seq: 0 }, most.entries, most.bytes);
        const { entries, firsts } = play(steps, ring);
        for (const { rooms, start, limits } of searches) {
          const wanted = new Set(rooms);
          const from = Math.min(start, ring.end);
          const plain = [...entries]
            .filter(([n]) => n >= from && ring.at(n) !== undefined)
            .filter(([n, entry]) => firsts.has(n) || roomsOfEntry(entry).some((room) => wanted.has(room)));
          expect(walk(ring, wanted, from, limits)).toEqual(plain.map(([n]) => n));
          expect(plain.map(([n]) => ring.at(n))).toEqual(plain.map(([, entry]) => entry));
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test('a client with few topics costs what it gets, not what went by', () => {
  const ring = new Ring({ epoch: 'a', seq: 0 }, 20_000);
  for (let seq = 1; seq <= 20_000; seq++) {
    const symbol = seq % 1000 === 0 ? 'RARE/USDT' : 'BTC/USDT';
    ring.push({ epoch: 'a', seq, id: String(seq), event: 'new_signal', json: '{}', symbol, timeframe: '1m' });
  }
  const rooms = new Set([EVERYBODY, 'feed:RARE/USDT']);
  const { numbers, upTo, looked } = ring.wanted(rooms, { from: 1, to: ring.end }, { entries: 100, looks: 1000 });
  expect(numbers).toHaveLength(20);
  expect(upTo).toBe(20_000);
  expect(looked).toBe(22);
});
