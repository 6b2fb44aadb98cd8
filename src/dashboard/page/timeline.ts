/** Seconds that the plots show. */
export const SECONDS = 120;

/** Most latencies that are kept of one second; beyond it a random choice is. */
const MAX_SAMPLES = 1000;

/** What the plots draw: one point a second, oldest first; `null` where there was nothing. */
export interface Points {
  /** Unix seconds. */
  readonly seconds: number[];
  readonly rate: (number | null)[];
  readonly median: (number | null)[];
  /** 95th percentile. */
  readonly high: (number | null)[];
}

function percentile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

/** Signals and their latencies, second by second, of the last two minutes. */
export class Timeline {
  /** The second that is being filled. */
  #second: number;
  #count = 0;
  #samples: number[] = [];
  readonly points: Points;

  /** @param now - Unix seconds */
  constructor(now: number) {
    this.#second = Math.floor(now);
    const empty = (): null[] => Array.from({ length: SECONDS }, () => null);
    this.points = {
      seconds: Array.from({ length: SECONDS }, (_, i) => this.#second - SECONDS + i),
      rate: empty(),
      median: empty(),
      high: empty(),
    };
  }

  /** Adds a signal. @param latency - in ms; `undefined` if it is not plotted */
  add(latency: number | undefined): void {
    this.#count++;
    if (latency === undefined) return;
    if (this.#samples.length < MAX_SAMPLES) this.#samples.push(latency);
    else this.#samples[Math.floor(Math.random() * MAX_SAMPLES)] = latency;
  }

  /** Closes the seconds that are over. @param now - Unix seconds */
  advance(now: number): void {
    const current = Math.floor(now);
    // After a long sleep of the page nothing of what was drawn is in view any more.
    if (current - this.#second > SECONDS) this.#second = current - SECONDS;
    for (; this.#second < current; this.#second++) this.#close();
  }

  /** Signals a second, over the last few. */
  get rate(): number {
    const last = this.points.rate.slice(-5).filter((value) => value !== null);
    return last.length === 0 ? 0 : last.reduce((sum, value) => sum + value, 0) / last.length;
  }

  /** The newest latencies there are within ten seconds. */
  get latency(): { median: number; high: number } | undefined {
    for (let i = SECONDS - 1; i >= SECONDS - 10; i--) {
      const median = this.points.median[i];
      const high = this.points.high[i];
      if (typeof median === 'number' && typeof high === 'number') return { median, high };
    }
    return undefined;
  }

  #close(): void {
    const { seconds, rate, median, high } = this.points;
    const sorted = this.#samples.toSorted((a, b) => a - b);
    this.#samples = [];
    for (const list of [seconds, rate, median, high]) list.shift();
    seconds.push(this.#second);
    rate.push(this.#count);
    median.push(percentile(sorted, 0.5));
    high.push(percentile(sorted, 0.95));
    this.#count = 0;
  }
}
