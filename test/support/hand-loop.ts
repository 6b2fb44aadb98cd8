import type { Loop } from '../../src/delivery/loop.js';

interface Timer {
  readonly intervalMs: number;
  readonly work: () => void;
  dueMs: number;
}

/** An event loop that turns when a test says so, on a clock of its own. */
export class HandLoop implements Loop {
  #nowMs = 1000;
  #next: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  readonly #onTurn: () => void;

  /** @param onTurn - called when a turn begins: what was published is written then */
  constructor(onTurn: () => void) {
    this.#onTurn = onTurn;
  }

  /** Whether nothing is left to do. */
  get isIdle(): boolean {
    return this.#next.length === 0;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  nextTurn(work: () => void): void {
    this.#next.push(work);
  }

  afterWrites(work: () => void): void {
    this.nextTurn(() => this.nextTurn(work));
  }

  every(intervalMs: number, work: () => void): () => void {
    const timer = { intervalMs, work, dueMs: this.#nowMs + intervalMs };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Takes one turn. */
  turn(): void {
    this.#onTurn();
    const works = this.#next;
    this.#next = [];
    for (const work of works) work();
  }

  /** Takes turns until nothing is left to do. */
  settle(): void {
    for (let turns = 0; !this.isIdle; turns++) {
      if (turns > 100_000) throw new Error('the loop does not come to rest');
      this.turn();
    }
    this.#onTurn();
  }

  /** Lets time pass, and calls back the timers that are due. */
  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers) {
      for (; timer.dueMs <= this.#nowMs && this.#timers.has(timer); timer.dueMs += timer.intervalMs) timer.work();
    }
  }
}
