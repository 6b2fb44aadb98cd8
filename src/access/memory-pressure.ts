import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

const CHECK_EVERY_MS = 1000;

/** How old a check may be that decides about a client. */
const FRESH_MS = 10;

/** The memory that this process may use, in bytes: the container's limit, or the machine's memory. */
export function availableMemory(): number {
  const constrained = process.constrainedMemory();
  // Without a limit it is 0 or a number far beyond the machine's memory.
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** Watches how much of its memory the process uses. */
export class MemoryPressure {
  readonly #limitBytes: number;
  readonly #maxShare: number;
  readonly #timer: NodeJS.Timeout;
  readonly #listeners: (() => void)[] = [];
  #share = 0;
  #rssBytes = 0;
  #checkedAtMs = 0;

  /**
   * @param maxPercent - above which {@link isHigh}; 0 is never
   * @param limitBytes - `undefined` stands for what the process may use
   */
  constructor(maxPercent: number, limitBytes: number | undefined) {
    this.#maxShare = maxPercent / 100;
    this.#limitBytes = limitBytes ?? availableMemory();
    this.#check();
    this.#timer = setInterval(() => this.#tick(), CHECK_EVERY_MS).unref();
  }

  /** Share of the memory in use, of the process or of its JavaScript heap, whichever is closer to its end. */
  get share(): number {
    return this.#share;
  }

  /** Whether no new clients should be taken, and no more topics. */
  get isHigh(): boolean {
    if (this.#maxShare === 0) return false;
    // The timer may be late: what many clients ask for in one turn of the loop can fill the memory.
    if (performance.now() - this.#checkedAtMs > FRESH_MS) this.#check();
    return this.#share > this.#maxShare;
  }

  /** Calls back every second for as long as memory is short. */
  onHigh(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Ends the timer. May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#check();
    if (this.isHigh) for (const listener of this.#listeners) listener();
  }

  #check(): void {
    this.#checkedAtMs = performance.now();
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
    this.#share = Math.max(this.#resident() / this.#limitBytes, used / most);
  }

  /** Bytes in RAM; those of the last check while the process has no file left to ask the system with. */
  #resident(): number {
    try {
      this.#rssBytes = process.memoryUsage.rss();
    } catch {
      // It must not end for that: clients that leave give files back.
    }
    return this.#rssBytes;
  }
}
