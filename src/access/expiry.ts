const SECOND_MS = 1000;

/**
 * Calls back for members when their time comes, at most a second late.
 *
 * One timer for all: members are kept by the second in which they are due.
 */
export class Expiry<T> {
  readonly #due = new Map<number, Set<T>>();
  readonly #onDue: (member: T) => void;
  readonly #timer: NodeJS.Timeout;
  #checkedSecond = Math.floor(Date.now() / SECOND_MS);

  constructor(onDue: (member: T) => void) {
    this.#onDue = onDue;
    this.#timer = setInterval(() => this.#check(), SECOND_MS).unref();
  }

  /**
   * @param timeMs - Unix time in ms
   * @returns removes the member; may be called when it is gone already
   */
  add(member: T, timeMs: number): () => void {
    // What is due already comes with the next check.
    const second = Math.max(Math.ceil(timeMs / SECOND_MS), this.#checkedSecond + 1);
    const members = this.#due.get(second) ?? new Set();
    this.#due.set(second, members.add(member));
    return () => {
      members.delete(member);
      if (members.size === 0 && this.#due.get(second) === members) this.#due.delete(second);
    };
  }

  /** Ends the timer. May be called twice. */
  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const now = Math.floor(Date.now() / SECOND_MS);
    // After a clock was set forward by years there are fewer members to check than seconds.
    const due =
      now - this.#checkedSecond > this.#due.size
        ? [...this.#due.keys()].filter((second) => second <= now).toSorted((one, other) => one - other)
        : Array.from({ length: Math.max(0, now - this.#checkedSecond) }, (_, i) => this.#checkedSecond + 1 + i);
    // Also backwards: else who comes after a clock was set back would be due when it has caught up.
    this.#checkedSecond = now;
    for (const second of due) {
      const members = this.#due.get(second);
      this.#due.delete(second);
      for (const member of members ?? []) this.#onDue(member);
    }
  }
}
