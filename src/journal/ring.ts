import type { Offset } from '../contract/offset.js';
import { entryBytes } from './entry-bytes.js';
import type { Found, JournalEntry, LookLimits, NumberRange, RecentEntries } from './journal.js';
import { RoomIndex } from './room-index.js';

/**
 * The newest entries, in memory, across epochs.
 *
 * Within the ring entries are found by their offset in constant time: each epoch is a run of consecutive places.
 */
export class Ring implements RecentEntries {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #slots: (JournalEntry | undefined)[] = [];
  readonly #index: RoomIndex;
  /** Count of all entries ever put in; the newest has this number less one. */
  #end = 0;
  /** Number of the oldest entry that is still here. */
  #start = 0;
  /** Of the entries, without the index. */
  #bytes = 0;
  /** Where each epoch's run begins: number of its first entry here, and that entry's `seq`. Oldest first. */
  #runs: { epoch: string; from: number; seq: number }[] = [];
  /** The place before the oldest entry. */
  #base: Offset;

  /**
   * @param base - the place before the first entry that will be put in
   * @param maxBytes - what it may take in memory, about; the newest entry always stays
   */
  constructor(base: Offset, maxEntries: number, maxBytes = Number.POSITIVE_INFINITY) {
    this.#base = base;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
    this.#index = new RoomIndex(maxEntries);
  }

  /** Entries here. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** What it takes in memory, about. */
  get bytes(): number {
    return this.#bytes + this.#index.bytes;
  }

  /** Number of the newest entry, plus one. */
  get end(): number {
    return this.#end;
  }

  /** The newest place; the base while nothing has been put in. */
  get head(): Offset {
    return this.at(this.#end - 1) ?? this.#base;
  }

  /** The newest entry. */
  get newest(): JournalEntry | undefined {
    return this.at(this.#end - 1);
  }

  /** The place before the oldest entry. */
  get base(): Offset {
    return this.#base;
  }

  /** Puts the next entry in; its `seq` follows the newest one's, or it is the first of an epoch. */
  push(entry: JournalEntry): void {
    const run = this.#runs.at(-1);
    if (run?.epoch !== entry.epoch) {
      this.#runs.push({ epoch: entry.epoch, from: this.#end, seq: entry.seq });
    }
    if (this.size === this.#maxEntries) this.#dropOldest();
    this.#slots[this.#end % this.#maxEntries] = entry;
    this.#index.push(this.#end, entry);
    this.#end++;
    this.#bytes += entryBytes(entry);
    while (this.size > 1 && this.bytes > this.#maxBytes) this.#dropOldest();
  }

  /** Forgets everything; what comes next follows `base`. */
  reset(base: Offset): void {
    // Not emptied: numbers go on, and a list that begins far from 0 is slow.
    this.#slots.fill(undefined);
    this.#index.clear();
    this.#start = this.#end;
    this.#bytes = 0;
    this.#runs = [];
    this.#base = base;
  }

  /** The place that has `count` entries after it; the base if there are fewer. */
  back(count: number): Offset {
    return this.at(this.#end - 1 - count) ?? this.#base;
  }

  /** As {@link RecentEntries.numberAfter}. */
  numberAfter(offset: Offset): number | undefined {
    if (offset.epoch === this.#base.epoch && offset.seq === this.#base.seq) return this.#start;
    const n = this.#find(offset);
    if (n !== undefined) return n + 1;
    // The place before the first entry of an epoch, where a pod is that found the journal empty.
    return this.#find({ epoch: offset.epoch, seq: offset.seq + 1 });
  }

  /** The entry of a number, if it is here. */
  at(number: number): JournalEntry | undefined {
    return number < this.#start || number >= this.#end ? undefined : this.#slots[number % this.#maxEntries];
  }

  /** As {@link RecentEntries.wanted}. */
  wanted(rooms: ReadonlySet<string>, { from, to }: NumberRange, limits: LookLimits): Found {
    const range = { from: Math.max(from, this.#start), to: Math.min(to, this.#end) };
    if (range.from >= range.to) return { numbers: [], upTo: range.to, looked: 0 };
    return this.#index.wanted({ rooms, range, limits, always: this.#runs.map((run) => run.from) });
  }

  /** Whether every entry after this place is here. */
  covers(offset: Offset): boolean {
    return this.numberAfter(offset) !== undefined;
  }

  /** Whether the epoch of this place is one that the ring has entries of, or begins after. */
  knowsEpoch(epoch: string): boolean {
    return this.#base.epoch === epoch || this.#runs.some((run) => run.epoch === epoch);
  }

  /** Up to `limit` entries after a place, oldest first; `undefined` if the ring does not cover it. */
  after(offset: Offset, limit: number): readonly JournalEntry[] | undefined {
    const from = this.numberAfter(offset);
    if (from === undefined) return undefined;
    const entries: JournalEntry[] = [];
    for (let n = from; n < this.#end && entries.length < limit; n++) {
      const entry = this.at(n);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** The entry at a place, if it is here. */
  get(offset: Offset): JournalEntry | undefined {
    const n = this.#find(offset);
    return n === undefined ? undefined : this.at(n);
  }

  /**
   * Puts another entry into the place of one with the same id.
   *
   * @returns whether that was here
   */
  replace(entry: JournalEntry): boolean {
    const n = this.#find(entry);
    const former = n === undefined ? undefined : this.at(n);
    if (n === undefined || former?.id !== entry.id) return false;
    this.#bytes += entryBytes(entry) - entryBytes(former);
    this.#slots[n % this.#maxEntries] = entry;
    return true;
  }

  #find({ epoch, seq }: Offset): number | undefined {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i];
      if (run === undefined || run.epoch !== epoch || seq < run.seq) continue;
      const n = run.from + (seq - run.seq);
      const end = this.#runs[i + 1]?.from ?? this.#end;
      return n >= this.#start && n < end ? n : undefined;
    }
    return undefined;
  }

  #dropOldest(): void {
    const slot = this.#start % this.#maxEntries;
    const entry = this.#slots[slot];
    if (entry !== undefined) {
      this.#base = { epoch: entry.epoch, seq: entry.seq };
      this.#bytes -= entryBytes(entry);
    }
    this.#slots[slot] = undefined;
    this.#index.drop(this.#start);
    this.#start++;
    const second = this.#runs[1];
    if (second !== undefined && second.from <= this.#start) this.#runs.shift();
  }
}
