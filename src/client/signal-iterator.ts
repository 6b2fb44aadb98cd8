import type { Signal } from '../contract/events.js';
import { SignalError } from './signal-error.js';

/** A signal and its place in the journal. */
export interface Delivery {
  readonly signal: Signal;
  readonly offset: string;
}

/** A loop that waits for a signal. */
interface Waiting {
  resolve(result: IteratorResult<Delivery, undefined>): void;
  reject(error: Error): void;
}

/**
 * Signals for a `for await` loop, in the order they came.
 *
 * Signals wait until the loop takes them. If more than the limit wait, nothing is dropped silently: the loop gets those that
 * wait and then fails with `buffer_full`.
 */
export class SignalIterator implements AsyncIterableIterator<Delivery, undefined> {
  readonly #limit: number;
  readonly #stop: () => void;
  #ready: Delivery[] = [];
  readonly #waiting: Waiting[] = [];
  #end: { readonly error?: Error | undefined } | undefined;

  /**
   * @param limit - signals that may wait
   * @param stop - called once, when no more are taken
   */
  constructor(limit: number, stop: () => void) {
    this.#limit = limit;
    this.#stop = stop;
  }

  /** Takes a signal. */
  push(delivery: Delivery): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next.resolve({ value: delivery, done: false });
    else if (this.#ready.length < this.#limit) this.#ready.push(delivery);
    else {
      this.end(new SignalError('buffer_full', `the loop is too slow: ${this.#limit} signals wait for it`));
    }
  }

  /** Takes no more: the loop ends after the signals that wait, or fails with the error. */
  end(error?: Error): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#stop();
    for (const one of this.#waiting.splice(0)) {
      if (error === undefined) one.resolve({ value: undefined, done: true });
      else one.reject(error);
    }
  }

  next(): Promise<IteratorResult<Delivery, undefined>> {
    const value = this.#ready.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#end === undefined) return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const { error } = this.#end;
    // It fails once, as a generator does.
    this.#end = {};
    return error === undefined ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
  }

  /** Called by `break`. */
  return(): Promise<IteratorResult<Delivery, undefined>> {
    this.#ready = [];
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
