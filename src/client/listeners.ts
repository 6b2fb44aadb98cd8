/** Functions that are told of one kind of event. */
export class Listeners<Args extends readonly unknown[]> {
  readonly #all = new Set<(...args: Args) => void>();

  /** @returns takes it away again */
  add(listener: (...args: Args) => void): () => void {
    // A function of its own, so that one that is added twice is told twice and taken away once.
    const one = (...args: Args): void => listener(...args);
    this.#all.add(one);
    return () => void this.#all.delete(one);
  }

  /** One that throws does not keep the others from being told; its error goes where uncaught errors go. */
  tell(...args: Args): void {
    for (const listener of this.#all) {
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
