const SECOND_MS = 1000;
/** The timer is set again at least so often: a timer of Node.js holds 24 days at most. */
const MAX_TIMER_MS = 3_600_000;
/** Numbers of seconds without members that are kept at least before they are cleared away. */
const SPARE_SECONDS = 1000;
/** Members called back in one turn of the loop: a closed connection costs some 20 µs, and many tokens end in the same second. */
const MEMBERS_A_TURN = 256;

/**
 * Calls back for members when their time comes, at most about a second late.
 *
 * How long a member has is taken from the wall clock once, when it is added; from then on the monotonic clock counts. So a wall
 * clock that is set, by seconds or by years, neither ends nor keeps anybody. Members are kept by the second in which they are
 * due, and one timer waits for the earliest of these.
 */
export class Expiry<T> {
  /** Members by the second of the monotonic clock in which they are due. */
  readonly #due = new Map<number, Set<T>>();
  /** The seconds in {@link Expiry.#due}, the earliest first; some may have no members any more. */
  readonly #seconds = new Earliest();
  readonly #onDue: (member: T) => void;
  #timer: NodeJS.Timeout | undefined;
  /** For which second the timer is set. */
  #awaited = Infinity;
  #next: NodeJS.Immediate | undefined;

  constructor(onDue: (member: T) => void) {
    this.#onDue = onDue;
  }

  /**
   * @param timeMs - Unix time in ms; `Infinity` for never
   * @returns removes the member; may be called when it is gone already
   */
  add(member: T, timeMs: number): () => void {
    const delayMs = Math.max(0, timeMs - Date.now());
    if (delayMs === Infinity) return () => {};
    const second = Math.ceil((performance.now() + delayMs) / SECOND_MS);
    let members = this.#due.get(second);
    if (members === undefined) {
      members = new Set();
      this.#due.set(second, members);
      // Whoever comes and goes leaves a number behind.
      if (this.#seconds.size >= 2 * this.#due.size + SPARE_SECONDS) this.#seconds.reset(this.#due.keys());
      else this.#seconds.push(second);
    }
    members.add(member);
    if (second < this.#awaited) this.#await(second);
    return () => {
      members.delete(member);
      if (members.size === 0 && this.#due.get(second) === members) this.#due.delete(second);
    };
  }

  /** Ends the timer. May be called twice. */
  close(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#next);
  }

  #await(second: number): void {
    clearTimeout(this.#timer);
    this.#awaited = second;
    const delayMs = Math.min(Math.max(0, second * SECOND_MS - performance.now()), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#check(), Math.ceil(delayMs)).unref();
  }

  /** Calls back for those who are due, in order, a few in each turn. */
  #check(): void {
    const now = performance.now() / SECOND_MS;
    let left = MEMBERS_A_TURN;
    for (let second = this.#seconds.first; second !== undefined; second = this.#seconds.first) {
      const members = this.#due.get(second);
      if (members !== undefined && members.size > 0) {
        if (second > now) {
          this.#await(second);
          return;
        }
        for (const member of members) {
          if (left-- <= 0) {
            this.#next = setImmediate(() => this.#check());
            return;
          }
          members.delete(member);
          this.#onDue(member);
        }
      }
      // Somebody may have been added to it just now.
      if (members?.size) continue;
      this.#due.delete(second);
      this.#seconds.shift();
    }
    this.#awaited = Infinity;
  }
}

/** Numbers, of which the smallest is at hand: a binary heap. */
class Earliest {
  readonly #heap: number[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): number | undefined {
    return this.#heap[0];
  }

  reset(values: Iterable<number>): void {
    this.#heap.length = 0;
    for (const value of values) this.push(value);
  }

  push(value: number): void {
    const heap = this.#heap;
    let at = heap.push(value) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || parent <= value) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = value;
  }

  shift(): void {
    const heap = this.#heap;
    const value = heap.pop();
    if (value === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && right < left;
      const least = isRight ? right : left;
      if (least >= value) break;
      heap[at] = least;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = value;
  }
}
