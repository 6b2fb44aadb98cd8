const SECOND = 1000;

/**
 * Calls back for members when their time has come, at most a second late.
 *
 * One timer for all: members are kept by the second in which they are due.
 */
export class Expiry<T> {
  readonly #due = new Map<number, Set<T>>();
  readonly #onDue: (member: T) => void;
  readonly #timer: NodeJS.Timeout;
  #looked = Math.floor(Date.now() / SECOND);

  constructor(onDue: (member: T) => void) {
    this.#onDue = onDue;
    this.#timer = setInterval(() => this.#look(), SECOND).unref();
  }

  /**
   * @param time - ms since 1970
   * @returns removes the member; may be called when it is gone already
   */
  add(member: T, time: number): () => void {
    // What is due already comes with the next look.
    const second = Math.max(Math.ceil(time / SECOND), this.#looked + 1);
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

  #look(): void {
    const now = Math.floor(Date.now() / SECOND);
    // After a clock was set forward by years there are fewer members to look at than seconds.
    const due =
      now - this.#looked > this.#due.size
        ? [...this.#due.keys()].filter((second) => second <= now).toSorted((one, other) => one - other)
        : Array.from({ length: Math.max(0, now - this.#looked) }, (_, i) => this.#looked + 1 + i);
    // Also backwards: else who comes after a clock was set back would be due when it has caught up.
    this.#looked = now;
    for (const second of due) {
      const members = this.#due.get(second);
      this.#due.delete(second);
      for (const member of members ?? []) this.#onDue(member);
    }
  }
}
