/** Addresses remembered; beyond that the oldest go, which are refused no more. */
const MAX_ADDRESSES = 10_000;

const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;

/** An address that has not been noted for so long begins with a short pause again. */
const FORGET_AFTER_MS = 2 * LONGEST_PAUSE_MS;

interface Pause {
  readonly lengthMs: number;
  readonly endMs: number;
}

/**
 * Refuses the next handshakes from an address after a client from there could not be recovered, for a time that doubles.
 *
 * A stock client whose connection is closed comes back after a second, every time: each connection that opens makes it start
 * its back-off again. Only a handshake that is refused makes that grow.
 */
export class RecoveryBackoff {
  readonly #pauses = new Map<string, Pause>();

  /** Whether no address is refused. */
  get isEmpty(): boolean {
    return this.#pauses.size === 0;
  }

  /**
   * Notes that a client could not be recovered. Many from one address at the same time count once: whoever is behind it gets
   * a turn between two pauses.
   *
   * @param address - as `ClientAddress` gives it
   */
  note(address: string, nowMs: number): void {
    const last = this.#pauses.get(address);
    if (last !== undefined && nowMs < last.endMs) return;
    const isKnown = last !== undefined && nowMs < last.endMs + FORGET_AFTER_MS;
    const lengthMs = isKnown ? Math.min(2 * last.lengthMs, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    this.#pauses.delete(address);
    this.#pauses.set(address, { lengthMs, endMs: nowMs + lengthMs });
    if (this.#pauses.size <= MAX_ADDRESSES) return;
    const [oldest] = this.#pauses.keys();
    if (oldest !== undefined) this.#pauses.delete(oldest);
  }

  /** Whether a handshake from an address is refused now. */
  refuses(address: string, nowMs: number): boolean {
    const pause = this.#pauses.get(address);
    return pause !== undefined && nowMs < pause.endMs;
  }

  /** Lets everybody in again: clients can be recovered. */
  clear(): void {
    this.#pauses.clear();
  }
}
