import { setTimeout as sleep } from 'node:timers/promises';
import type { Socket as Connection } from 'engine.io';

/** How a drain runs. */
export interface DrainOptions {
  /** Time over which the clients are spread. */
  readonly durationMs: number;
  /** Aborted: those that are left go at once. */
  readonly hurry: AbortSignal;
  /** Called once, when no client needs a new TCP connection to this pod. */
  readonly onNoPolling: () => void;
}

/** Time between two checks which clients are due. */
const TICK_MS = 10;
/** How long a client on long-polling has, after the last one was disconnected, to fetch the packet that says so. */
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
 * Disconnects clients, spread evenly over a time and in random order, so that the other pods see no wave of reconnects.
 *
 * The transport is closed rather than the Socket.IO socket: after that the stock client connects again by itself, and is
 * given what it missed. Clients on long-polling go first: each of their requests may need a TCP connection of its own, so
 * the pod has to listen until they are gone.
 */
export class Drain {
  readonly #onLetGo: (connection: Connection) => void;

  /** @param onLetGo - called just before a connection is closed */
  constructor(onLetGo: (connection: Connection) => void) {
    this.#onLetGo = onLetGo;
  }

  /**
   * Resolves when all are gone; at once when there are none.
   *
   * @param connections - those that are there; new ones are refused by now
   * @param left - how many are still there
   */
  async run(connections: readonly Connection[], left: () => number, options: DrainOptions): Promise<void> {
    const { durationMs, hurry, onNoPolling } = options;
    const all = shuffled(connections);
    const polling = all.filter(isPolling);
    const queue = [...polling, ...all.filter((connection) => !isPolling(connection))];
    const beginMs = performance.now();
    const due = (): number =>
      hurry.aborted || durationMs === 0
        ? queue.length
        : 1 + Math.floor((queue.length * (performance.now() - beginMs)) / durationMs);
    let next = 0;
    let pollingGone = 0;
    let isAnnounced = false;
    let lingerEndMs = Infinity;
    for (;;) {
      for (; next < queue.length; next++) {
        const connection = queue[next];
        // One that has left by itself needs no time of its own.
        if (connection?.readyState !== 'open') continue;
        if (next >= due()) break;
        this.#onLetGo(connection);
        connection.close();
      }
      for (; pollingGone < polling.length; pollingGone++) {
        const connection = polling[pollingGone];
        if (connection !== undefined && connection.readyState !== 'closed' && isPolling(connection)) break;
      }
      if (!isAnnounced && pollingGone === polling.length) {
        isAnnounced = true;
        onNoPolling();
      }
      if (next === queue.length) {
        if (lingerEndMs === Infinity) lingerEndMs = performance.now() + LINGER_MS;
        if (hurry.aborted || performance.now() >= lingerEndMs || left() === 0) return;
      }
      await sleep(TICK_MS, undefined, { signal: hurry }).catch(() => {});
    }
  }
}
