/** The event loop, as the delivery uses it; given from outside, so that the same code runs on another clock. */
export interface Loop {
  /** Monotonic time in ms. */
  nowMs(): number;
  /** Calls back in the next turn of the loop. */
  nextTurn(work: () => void): void;
  /** Calls back in the first turn in which everything that was published up to now has been written to its sockets. */
  afterWrites(work: () => void): void;
  /** Calls back every so often. @returns ends that */
  every(intervalMs: number, work: () => void): () => void;
}

/** The event loop of this process. */
export const processLoop: Loop = {
  nowMs: () => performance.now(),
  nextTurn: (work) => void setImmediate(work),
  // uWebSockets.js writes before and after it waits for events, and a callback of this turn may come before the second.
  afterWrites: (work) => void setImmediate(() => setImmediate(work)),
  every: (intervalMs, work) => {
    const timer = setInterval(work, intervalMs).unref();
    return () => clearInterval(timer);
  },
};
