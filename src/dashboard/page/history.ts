/** The newest items, up to a limit; what is older is forgotten. */
export class History<T> {
  readonly #items: T[] = [];
  readonly #limit: number;
  /** Where the next item goes once the ring is full. */
  #next = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#items.length < this.#limit) {
      this.#items.push(item);
      return;
    }
    this.#items[this.#next] = item;
    this.#next = (this.#next + 1) % this.#limit;
  }

  /** The items, newest first. */
  *newestFirst(): Generator<T, void> {
    const size = this.#items.length;
    for (let back = 1; back <= size; back++) {
      const item = this.#items[(this.#next - back + size) % size];
      if (item !== undefined) yield item;
    }
  }
}
