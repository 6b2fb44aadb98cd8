/** Listeners for one kind of event. */
export class Listeners<Args extends readonly unknown[]> {
  readonly #all = new Set<(...args: Args) => void>();

  /** @returns removes the listener */
  add(listener: (...args: Args) => void): () => void {
    // A new function, so that a listener that is added twice is called twice and removed once.
    const one = (...args: Args): void => listener(...args);
    this.#all.add(one);
    return () => void this.#all.delete(one);
  }

  /** Calls all listeners, even if one throws; its error becomes an uncaught error. */
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
