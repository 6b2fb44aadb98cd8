/** Numbers removed at the front before the rest is moved up: moving costs as much as was removed, so removing stays cheap. */
const MIN_REMOVED = 32;

/** Ascending numbers: added at the end, removed at the front, found by their size. */
export class NumberQueue {
  #numbers: number[] = [];
  /** Of these the front ones were removed. */
  #removed = 0;

  get size(): number {
    return this.#numbers.length - this.#removed;
  }

  /** @param number - higher than all before */
  push(number: number): void {
    // A list that is made with its first number takes a tenth of what one takes that grows to it.
    if (this.#numbers.length === 0) this.#numbers = [number];
    else this.#numbers.push(number);
  }

  /** Removes the lowest. */
  shift(): void {
    this.#removed++;
    if (this.#removed < MIN_REMOVED || this.#removed * 2 < this.#numbers.length) return;
    this.#numbers = this.#numbers.slice(this.#removed);
    this.#removed = 0;
  }

  /** @param index - counted from the lowest */
  at(index: number): number | undefined {
    return this.#numbers[this.#removed + index];
  }

  /** The index of the lowest number that is `least` or more; the size if there is none. */
  indexFrom(least: number): number {
    let low = this.#removed;
    let high = this.#numbers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#numbers[middle] ?? least) < least) low = middle + 1;
      else high = middle;
    }
    return low - this.#removed;
  }
}
