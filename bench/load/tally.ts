import { type Histogram, build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import type { GroupCounts } from './fleet-types.js';
import type { Topics } from './message.js';

/** Longest latency that is told from longer ones. */
const LONGEST_MICROS = 600_000_000;
/** Steps of an octave of an HdrHistogram with three digits. */
const HALF_STEPS = 1024;

/** An empty histogram of microseconds: 1 µs to 10 minutes, 3 digits. */
export function emptyHistogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: LONGEST_MICROS, numberOfSignificantValueDigits: 3 });
}

/**
 * Counts latencies as {@link emptyHistogram} does, in the same steps. To record one is a shift and an addition, where the
 * library takes a logarithm and a power: that is felt in a process that does it for every read of every client.
 */
class LatencyCounts {
  readonly #counts = new Uint32Array(21 * HALF_STEPS);

  /** @param micros - a whole number, from 0 to {@link LONGEST_MICROS} */
  record(micros: number): void {
    // The first octaves have steps of 1 µs, up to twice `HALF_STEPS`; each one after them has steps twice as wide.
    const shift = Math.max(0, 21 - Math.clz32(micros));
    const step = shift * HALF_STEPS + (micros >> shift);
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
  }

  toHistogram(): Histogram {
    const histogram = emptyHistogram();
    for (const [step, count] of this.#counts.entries()) {
      if (count === 0) continue;
      const shift = Math.max(0, Math.floor(step / HALF_STEPS) - 1);
      histogram.recordValueWithCount((step - shift * HALF_STEPS) << shift, count);
    }
    return histogram;
  }
}

/** The signals that one client wants, numbered without holes: its *places*. */
export class Wanted {
  readonly #topics: Topics | undefined;
  readonly #symbols: readonly number[];
  /** By symbol: its rank among those wanted, or -1. */
  readonly #ranks: Int16Array;

  /** @param symbols - those wanted, in rising order; without topics everything is wanted */
  constructor(topics?: Topics, symbols: readonly number[] = []) {
    this.#topics = topics;
    this.#symbols = symbols;
    this.#ranks = new Int16Array(topics?.symbols ?? 0).fill(-1);
    for (const [rank, symbol] of symbols.entries()) this.#ranks[symbol] = rank;
  }

  /** The place of signal `n`; -1 if it is not wanted. */
  place(n: number): number {
    if (this.#topics === undefined) return n;
    const { symbols } = this.#topics;
    const rank = this.#ranks[n % symbols] ?? -1;
    return rank < 0 ? -1 : Math.floor(n / symbols) * this.#symbols.length + rank;
  }

  /** How many of the signals below `n` are wanted. */
  below(n: number): number {
    if (this.#topics === undefined) return n;
    const { symbols } = this.#topics;
    let begun = 0;
    for (const symbol of this.#symbols) if (symbol < n % symbols) begun++;
    return Math.floor(n / symbols) * this.#symbols.length + begun;
  }
}

/** Which places one client has. */
export class Seen {
  /** All places below it came, but for those in `#missing`. */
  #next: number;
  #missing: Set<number> | undefined;

  /** @param from - the first place that is to come */
  constructor(from = 0) {
    this.#next = from;
  }

  /** Takes a place: in order, late (a later one was there before), or for the second time. */
  take(place: number): 'inOrder' | 'late' | 'twice' {
    if (place === this.#next) {
      this.#next++;
      return 'inOrder';
    }
    if (place > this.#next) {
      this.#missing ??= new Set();
      for (let skipped = this.#next; skipped < place; skipped++) this.#missing.add(skipped);
      this.#next = place + 1;
      return 'inOrder';
    }
    return this.#missing?.delete(place) === true ? 'late' : 'twice';
  }

  /** How many of the first `count` places are not there. */
  missing(count: number): number {
    return Math.max(0, count - this.#next) + (this.#missing?.size ?? 0);
  }
}

/** What a group of clients counted; see {@link GroupCounts}. */
export class Group {
  clients = 0;
  received = 0;
  /** `received` without second copies. */
  unique = 0;
  twice = 0;
  outOfOrder = 0;
  dropped = 0;
  reconnected = 0;
  recovered = 0;

  reset(): void {
    this.received = this.unique = this.twice = this.outOfOrder = this.dropped = 0;
    this.reconnected = this.recovered = 0;
  }

  /** @param expected, silent - see {@link GroupCounts} */
  counts(expected: number, silent: number): GroupCounts {
    const { clients, received, twice, outOfOrder, dropped, reconnected, recovered } = this;
    const lost = expected - this.unique;
    return { clients, expected, received, lost, silent, twice, outOfOrder, dropped, reconnected, recovered };
  }
}

/** Latencies of all clients of a worker that are timed: by second, and by signal the first and the last arrival. */
export class Times {
  readonly #first: Float64Array;
  readonly #last: Float64Array;
  #seconds: LatencyCounts[] = [];
  #firstDue = 0;
  // The second that is being written, kept at hand because the next latency nearly always belongs to it.
  #current = new LatencyCounts();
  #currentFrom = 0;
  #currentTo = 0;

  /** @param signals - most that will be published */
  constructor(signals: number) {
    this.#first = new Float64Array(signals);
    this.#last = new Float64Array(signals);
  }

  /** A client had signal `n`, due at `due`, at `now`; both in µs. Returns the latency. */
  add(n: number, due: number, now: number): number {
    const latency = Math.min(Math.max(now - due, 0), LONGEST_MICROS);
    if (due < this.#currentFrom || due >= this.#currentTo) this.#turnTo(due);
    this.#current.record(latency);
    if (this.#first[n] === 0) this.#first[n] = now;
    this.#last[n] = now;
    return latency;
  }

  #turnTo(due: number): void {
    if (this.#firstDue === 0) this.#firstDue = due;
    // A signal that is due before the first that was seen (which was late, then) belongs to the first second.
    const second = Math.max(0, Math.floor((due - this.#firstDue) / 1e6));
    while (this.#seconds.length <= second) this.#seconds.push(new LatencyCounts());
    this.#current = this.#seconds[second] ?? this.#current;
    this.#currentFrom = this.#firstDue + second * 1e6;
    this.#currentTo = this.#currentFrom + 1e6;
  }

  reset(): void {
    this.#first.fill(0);
    this.#last.fill(0);
    this.#seconds = [];
    this.#firstDue = this.#currentFrom = this.#currentTo = 0;
  }

  /** All of it, from signal `from` on. */
  report(from: number): { firstDue: number; seconds: string[]; first: Float64Array; last: Float64Array } {
    return {
      firstDue: this.#firstDue,
      seconds: this.#seconds.map((counts) => encodeIntoCompressedBase64(counts.toHistogram())),
      first: this.#first.slice(from),
      last: this.#last.slice(from),
    };
  }
}
