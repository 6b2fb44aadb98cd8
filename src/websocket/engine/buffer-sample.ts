import type { Socket as Connection } from 'engine.io';
import { bufferedBytes } from './native-socket.js';

/** Clients that are read for one answer. */
const SAMPLE = 1000;

/**
 * Estimates what waits for the clients of this pod, at a cost that does not grow with their number: it reads up to
 * {@link SAMPLE} of them, continues after those the next time, and scales the sum up to all.
 */
export class BufferSample {
  readonly #sockets: ReadonlyMap<string, { readonly conn: unknown }>;
  #walk: IterableIterator<{ readonly conn: unknown }> | undefined;

  /** @param sockets - the clients that are connected */
  constructor(sockets: ReadonlyMap<string, { readonly conn: unknown }>) {
    this.#sockets = sockets;
  }

  /** Bytes; exact while there are no more clients than {@link SAMPLE}. */
  read(): number {
    const { size } = this.#sockets;
    const count = Math.min(size, SAMPLE);
    if (size <= SAMPLE) this.#walk = undefined;
    let sum = 0;
    for (let i = 0; i < count; i++) sum += bufferedBytes(this.#next().conn as Connection);
    return count === 0 ? 0 : Math.round((sum * size) / count);
  }

  #next(): { readonly conn: unknown } {
    for (;;) {
      this.#walk ??= this.#sockets.values();
      const { value, done } = this.#walk.next();
      if (done !== true) return value;
      this.#walk = undefined;
    }
  }
}
