import { setTimeout as sleep } from 'node:timers/promises';
import type { Socket as Connection } from 'engine.io';

/** How a drain runs and whom it tells. */
export interface DrainOptions {
  /** ms over which the clients are spread. */
  readonly duration: number;
  /** Aborted: those that are left go at once. */
  readonly hurry: AbortSignal;
  /** Told once, when no client needs a new TCP connection to this pod any more. */
  readonly onNoPolling: () => void;
}

/** How often it is looked who is due. */
const TICK_MS = 10;
/** How long a client on long-polling has, after the last was let go, to fetch the packet that says so. */
const LINGER_MS = 2000;

function isPolling(connection: Connection): boolean {
  return connection.transport.name === 'polling';
}

/** A copy in random order (Fisher and Yates). */
function shuffled<T>(items: Iterable<T>): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [all[i], all[j]] = [all[j] as T, all[i] as T];
  }
  return all;
}

/**
 * Lets clients go, spread evenly over a time and in random order, so that the other pods see no wave of reconnects.
 *
 * The transport is closed rather than the Socket.IO socket: after that the stock client connects again by itself, and is
 * given what it missed. Clients on long-polling go first: each of their requests may need a TCP connection of its own, so
 * the pod has to listen until they are gone.
 */
export class Drain {
  readonly #letGo = new WeakSet<Connection>();

  /** Whether a connection ended because it was let go. */
  has(connection: Connection): boolean {
    return this.#letGo.has(connection);
  }

  /**
   * Resolves when all are gone; at once when there are none.
   *
   * @param connections - those that are there; new ones are refused by now
   * @param left - how many are still there
   */
  async run(connections: readonly Connection[], left: () => number, options: DrainOptions): Promise<void> {
    const { duration, hurry, onNoPolling } = options;
    const all = shuffled(connections);
    const polling = all.filter(isPolling);
    const queue = [...polling, ...all.filter((connection) => !isPolling(connection))];
    const begin = performance.now();
    const due = (): number =>
      hurry.aborted || duration === 0
        ? queue.length
        : 1 + Math.floor((queue.length * (performance.now() - begin)) / duration);
    let next = 0;
    let pollingGone = 0;
    let isTold = false;
    let lingerEnd = Infinity;
    for (;;) {
      for (; next < queue.length; next++) {
        const connection = queue[next];
        // One that has left by itself needs no time of its own.
        if (connection?.readyState !== 'open') continue;
        if (next >= due()) break;
        this.#letGo.add(connection);
        connection.close();
      }
      for (; pollingGone < polling.length; pollingGone++) {
        const connection = polling[pollingGone];
        if (connection !== undefined && connection.readyState !== 'closed' && isPolling(connection)) break;
      }
      if (!isTold && pollingGone === polling.length) {
        isTold = true;
        onNoPolling();
      }
      if (next === queue.length) {
        if (lingerEnd === Infinity) lingerEnd = performance.now() + LINGER_MS;
        if (hurry.aborted || performance.now() >= lingerEnd || left() === 0) return;
      }
      await sleep(TICK_MS, undefined, { signal: hurry }).catch(() => {});
    }
  }
}
