import { type Offset, isHole } from '../contract/offset.js';
import { ROOM_OF_ALL, roomsOfEntry } from '../contract/rooms.js';
import type { JournalEntry, RecentEntries } from '../journal/journal.js';

/** An entry on the way of a client. */
export interface Step {
  readonly entry: JournalEntry;
  /** Whether the client wants it. */
  readonly isWanted: boolean;
  /** The place before the entries that are lost in front of this one; unset: none are. */
  readonly lostAfter?: Offset;
}

/** A part of the way. */
export interface Stretch {
  /** What is to be sent, in order. */
  readonly steps: readonly Step[];
  /** The place that the client is at once it has all of them. */
  readonly end: Offset;
}

/** What a client wants, and where it is. */
export interface Walker {
  readonly place: Offset;
  readonly rooms: ReadonlySet<string>;
}

/** Entries that are handed on, and entries or rooms looked at, in one go. */
const MAX_STEPS = 64;
const MAX_LOOKS = 512;

function wants(rooms: ReadonlySet<string>, entry: JournalEntry): boolean {
  // Most clients get every signal.
  if (entry.event === 'new_signal' && rooms.has(ROOM_OF_ALL)) return true;
  return roomsOfEntry(entry).some((room) => rooms.has(room));
}

/** What to do at an entry that was found to go to the client, or to begin a run of entries. */
function stepOf(entry: JournalEntry, rooms: ReadonlySet<string>, before: Offset | undefined): Step | undefined {
  const isWanted = wants(rooms, entry);
  if (before !== undefined && isHole(before, entry)) return { entry, isWanted, lostAfter: before };
  return isWanted ? { entry, isWanted } : undefined;
}

/**
 * The next stretch of a client's way through the newest entries.
 *
 * @param limit - the place at which the way ends
 * @returns `head` at the limit; `older` where the entries after the place are not here
 */
export function stretchOfRecent(recent: RecentEntries, walker: Walker, limit: Offset): Stretch | 'head' | 'older' {
  const from = recent.numberAfter(walker.place);
  if (from === undefined) return 'older';
  const to = recent.numberAfter(limit);
  // The fan-out is behind what is here; it moves on.
  if (to === undefined || from >= to) return 'head';
  const found = recent.wanted(walker.rooms, { from, to }, { entries: MAX_STEPS, looks: MAX_LOOKS });
  const steps: Step[] = [];
  for (const number of found.numbers) {
    const entry = recent.at(number);
    if (entry === undefined) continue;
    const before = number === from ? walker.place : recent.at(number - 1);
    const step = stepOf(entry, walker.rooms, before);
    if (step !== undefined) steps.push(step);
  }
  const last = recent.at(found.upTo - 1);
  return { steps, end: last === undefined ? walker.place : { epoch: last.epoch, seq: last.seq } };
}

/** Where the entries of each room are in a page, and where an epoch begins. Made once, for all clients that read the page. */
interface PageIndex {
  readonly byRoom: ReadonlyMap<string, readonly number[]>;
  readonly epochStarts: readonly number[];
}

const indexes = new WeakMap<readonly JournalEntry[], PageIndex>();

function indexOf(page: readonly JournalEntry[]): PageIndex {
  const known = indexes.get(page);
  if (known !== undefined) return known;
  const byRoom = new Map<string, number[]>();
  const epochStarts: number[] = [];
  for (const [i, entry] of page.entries()) {
    if (entry.epoch !== page[i - 1]?.epoch) epochStarts.push(i);
    for (const room of roomsOfEntry(entry)) {
      const numbers = byRoom.get(room);
      if (numbers === undefined) byRoom.set(room, [i]);
      else numbers.push(i);
    }
  }
  const index = { byRoom, epochStarts };
  indexes.set(page, index);
  return index;
}

/** Numbers of the entries of a page that go to one of the rooms, or begin an epoch. */
function wantedOf(page: readonly JournalEntry[], rooms: ReadonlySet<string>): number[] {
  const { byRoom, epochStarts } = indexOf(page);
  const found = new Set(epochStarts);
  const names = rooms.size < byRoom.size ? rooms : byRoom.keys();
  for (const room of names) {
    if (rooms.has(room)) for (const i of byRoom.get(room) ?? []) found.add(i);
  }
  return [...found].toSorted((one, other) => one - other);
}

/**
 * The next stretch of a client's way through a page of older entries.
 *
 * @param limit - the place at which the way ends
 */
export function stretchOfPage(page: readonly JournalEntry[], walker: Walker, limit: Offset): Stretch {
  const steps: Step[] = [];
  // Numbers grow over epochs.
  const last = page.findLast((entry) => entry.seq <= limit.seq);
  if (last === undefined) return { steps, end: walker.place };
  for (const i of wantedOf(page, walker.rooms)) {
    const entry = page[i];
    if (entry === undefined || entry.seq > limit.seq) break;
    const step = stepOf(entry, walker.rooms, page[i - 1] ?? walker.place);
    if (step !== undefined) steps.push(step);
  }
  return { steps, end: { epoch: last.epoch, seq: last.seq } };
}
