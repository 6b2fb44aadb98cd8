import type { Offset } from '../contract/offset.js';
import type { JournalEntry } from './journal.js';
import { type Page, PageCache } from './page-cache.js';

/** How {@link SharedPages} is set up. */
export interface SharedPagesOptions {
  /** Reads so many entries from a number on; rejects when Redis cannot be read. */
  readonly read: (from: number, count: number) => Promise<Page>;
  /** What of some entries of a page this pod may give to clients, as they are now. */
  readonly visible: (entries: readonly JournalEntry[]) => readonly JournalEntry[];
}

/** The entries after a place; `undefined` where they are lost. */
type After = readonly JournalEntry[] | undefined;

/** One client at one place. */
interface Waiter {
  readonly after: Offset;
  readonly resolve: (entries: After) => void;
  readonly reject: (error: Error) => void;
}

/** Most entries of a page; a power of two. */
const PAGE_ENTRIES = 128;
/** Entries of the first page, while it is not known how large they are. */
const FIRST_ENTRIES = 16;
/** A page that is larger makes the next ones shorter. */
const PAGE_BYTES = 1024 * 1024;
const CACHE_BYTES = 8 * 1024 * 1024;
/** Nobody has read a page for so long: then memory is worth more than what is in it. */
const CACHE_IDLE_MS = 10_000;
/** Each may be a client; whoever comes then is told to try again later. */
const MAX_WAITING = 20_000;
const MAX_READS = 2;
/** For each millisecond that pages cost the loop, so many others belong to the rest of the gateway. */
const PAUSE_PER_COST = 3;
/**
 * What decoding costs the loop, most of it in the parser of the Redis client, where it cannot be measured from here: 7.5 µs an
 * entry and 0.7 ns a byte on the machine of the benchmarks.
 */
const ENTRY_COST_MS = 0.0075;
const BYTE_COST_MS = 0.7e-6;

/**
 * Reads what is older than a pod's ring, for all clients at once.
 *
 * Pages begin and end at multiples of their size, so that clients from different places meet on the same ones. They are read as
 * an elevator goes: upwards from the last one, then from the lowest that somebody waits for; so one lap reads each page about
 * once, however many clients wait. Between pages the loop belongs to others.
 */
export class SharedPages {
  readonly #options: SharedPagesOptions;
  readonly #cache = new PageCache(CACHE_BYTES);
  /** By the page of {@link PAGE_ENTRIES} that has the entry after their place. */
  readonly #waiters = new Map<number, Waiter[]>();
  readonly #underWay = new Set<number>();
  #waiting = 0;
  /** Where the elevator is. */
  #floor = 0;
  readonly #cuts = new WeakMap<Page, Map<string, readonly JournalEntry[]>>();
  #size = FIRST_ENTRIES;
  /** When the next page may be read, on the clock of `performance.now()`. */
  #freeAtMs = 0;
  #pause: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: SharedPagesOptions) {
    this.#options = options;
  }

  /** As `Journal.older`. */
  older(after: Offset): Promise<After> {
    const page = this.#cached(after.seq);
    if (page !== undefined) return Promise.resolve(this.#cut(page, after));
    if (this.#waiting >= MAX_WAITING) {
      return Promise.reject(new Error(`${MAX_WAITING} clients already wait for older entries; try again later`));
    }
    return new Promise((resolve, reject) => {
      const floor = floorOf(after.seq);
      const waiters = this.#waiters.get(floor) ?? [];
      waiters.push({ after, resolve, reject });
      this.#waiters.set(floor, waiters);
      this.#waiting++;
      this.#go();
    });
  }

  #cached(seq: number): Page | undefined {
    for (let size = PAGE_ENTRIES; size >= 1; size /= 2) {
      const page = this.#cache.get(beginOf(seq, size));
      // The end of a page may have been the end of the journal then; it may have grown since.
      if (page !== undefined && seq < lastOf(page)) return page;
    }
    return undefined;
  }

  /** Reads on while somebody waits, and may. */
  #go(): void {
    while (this.#pause === undefined && this.#underWay.size < MAX_READS) {
      const floor = this.#nextFloor();
      if (floor === undefined) return;
      const waitMs = this.#freeAtMs - performance.now();
      if (waitMs > 0) {
        this.#pause = setTimeout(() => {
          this.#pause = undefined;
          this.#go();
        }, waitMs);
        return;
      }
      void this.#read(floor);
    }
  }

  #nextFloor(): number | undefined {
    let lowest: number | undefined;
    let above: number | undefined;
    for (const floor of this.#waiters.keys()) {
      if (this.#underWay.has(floor)) continue;
      if (lowest === undefined || floor < lowest) lowest = floor;
      if (floor >= this.#floor && (above === undefined || floor < above)) above = floor;
    }
    return above ?? lowest;
  }

  /** Reads the page of the lowest place on a floor, and serves all to whom it has something to say. MUST NOT reject. */
  async #read(floor: number): Promise<void> {
    this.#floor = floor;
    this.#underWay.add(floor);
    const places = (this.#waiters.get(floor) ?? []).map(({ after }) => after.seq);
    const size = this.#size;
    const from = beginOf(Math.min(...places), size);
    try {
      const page = await this.#options.read(from, size + 1);
      this.#charge(page, size);
      this.#keep(page);
      this.#serve(floor, page);
    } catch (error) {
      // Whoever waits for another page would only be told so later.
      this.#rejectAll(error as Error);
    } finally {
      this.#underWay.delete(floor);
      this.#go();
    }
  }

  /** Makes the loop's next turns those of others, and the next pages as long as fits. */
  #charge({ entries, bytes }: Page, size: number): void {
    const costMs = entries.length * ENTRY_COST_MS + bytes * BYTE_COST_MS;
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + costMs * PAUSE_PER_COST;
    let next = bytes * 4 < PAGE_BYTES ? size * 2 : size;
    for (let expected = bytes; expected > PAGE_BYTES; expected /= 2) next /= 2;
    this.#size = Math.max(1, Math.min(PAGE_ENTRIES, next));
  }

  #keep(page: Page): void {
    this.#cache.add(page);
    if (this.#idle === undefined) this.#idle = setTimeout(() => this.#cache.clear(), CACHE_IDLE_MS).unref();
    else this.#idle.refresh();
  }

  #serve(floor: number, page: Page): void {
    const waiters = this.#waiters.get(floor) ?? [];
    const last = lastOf(page);
    const left: Waiter[] = [];
    for (const waiter of waiters) {
      const { seq } = waiter.after;
      if (seq < page.from || (seq >= last && !page.isEnd)) {
        left.push(waiter);
        continue;
      }
      waiter.resolve(this.#cut(page, waiter.after));
    }
    this.#waiting -= waiters.length - left.length;
    if (left.length > 0) this.#waiters.set(floor, left);
    else this.#waiters.delete(floor);
  }

  /** What of a page comes after a place in its range: one array for all clients at that place, who look through it once. */
  #cut(page: Page, after: Offset): After {
    const cuts = this.#cuts.get(page) ?? new Map<string, readonly JournalEntry[]>();
    const key = `${after.epoch}:${after.seq}`;
    const cut = cuts.get(key) ?? afterIn(page, after);
    const visible = cut && this.#options.visible(cut);
    if (visible === undefined || cut === undefined) return visible;
    const isSame = visible.length === cut.length && visible.every((entry, i) => entry === cut[i]);
    // What the reader has not come to yet is visible later; what was deleted meanwhile no longer is.
    if (!isSame) return visible;
    this.#cuts.set(page, cuts.set(key, cut));
    return cut;
  }

  #rejectAll(error: Error): void {
    const all = [...this.#waiters.values()].flat();
    this.#waiters.clear();
    this.#waiting = 0;
    for (const { reject } of all) reject(error);
  }
}

function afterIn({ entries }: Page, { epoch, seq }: Offset): After {
  const index = entries.findIndex((entry) => entry.seq >= seq);
  const next = entries[index];
  // Either the entry itself is there, or the very next one of its epoch: then nothing between them is missing.
  if (next === undefined || next.epoch !== epoch || next.seq > seq + 1) return undefined;
  return entries.slice(next.seq === seq ? index + 1 : index);
}

function floorOf(seq: number): number {
  return Math.floor((seq + 1) / PAGE_ENTRIES);
}

/** The number before those of the page that has the entry after a place: it says whether its own place is good. */
function beginOf(seq: number, size: number): number {
  return Math.max(0, Math.floor((seq + 1) / size) * size - 1);
}

/** Number of the newest entry of a page; -1 if it has none. */
function lastOf({ entries }: Page): number {
  return entries.at(-1)?.seq ?? -1;
}
