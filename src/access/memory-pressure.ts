import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

const LOOK_EVERY_MS = 1000;

/** How old a look may be that decides about a client. */
const FRESH_MS = 10;

/** The memory that this process may use, in bytes: the container's limit, or the machine's memory. */
function availableMemory(): number {
  const constrained = process.constrainedMemory();
  // Without a limit it is 0 or a number far beyond the machine's memory.
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** Watches how much of its memory the process uses. */
export class MemoryPressure {
  readonly #limit: number;
  readonly #maxShare: number;
  readonly #timer: NodeJS.Timeout;
  readonly #listeners: (() => void)[] = [];
  #share = 0;
  #rss = 0;
  #lookedAt = 0;

  /**
   * @param maxPercent - above which {@link isHigh}; 0 is never
   * @param limit - bytes; `undefined` is what the process may use
   */
  constructor(maxPercent: number, limit: number | undefined) {
    this.#maxShare = maxPercent / 100;
    this.#limit = limit ?? availableMemory();
    this.#look();
    this.#timer = setInterval(() => this.#tell(), LOOK_EVERY_MS).unref();
  }

  /** Share of the memory in use, of the process or of its JavaScript heap, whichever is closer to its end. */
  get share(): number {
    return this.#share;
  }

  /** Whether no new clients should be taken, and no more topics. */
  get isHigh(): boolean {
    if (this.#maxShare === 0) return false;
    // The timer may be late: what many clients ask for in one turn of the loop can fill the memory.
    if (performance.now() - this.#lookedAt > FRESH_MS) this.#look();
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

  #tell(): void {
    this.#look();
    if (this.isHigh) for (const listener of this.#listeners) listener();
  }

  #look(): void {
    this.#lookedAt = performance.now();
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
    this.#share = Math.max(this.#resident() / this.#limit, used / most);
  }

  /** Bytes in RAM; those of the last look while the process has no file left to ask the system with. */
  #resident(): number {
    try {
      this.#rss = process.memoryUsage.rss();
    } catch {
      // It must not end for that: clients that leave give files back.
    }
    return this.#rss;
  }
}
