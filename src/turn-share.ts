import { setImmediate as nextTurn } from 'node:timers/promises';

/** Work of this length holds up nobody. */
const SHARE_MS = 4;

/** Gives long work a few ms of each turn of the event loop. */
export class TurnShare {
  #beganMs = performance.now();

  /** Whether this turn's share is used up. */
  get isOver(): boolean {
    return performance.now() - this.#beganMs >= SHARE_MS;
  }

  /** Resolves in a later turn. */
  async next(): Promise<void> {
    await nextTurn();
    this.#beganMs = performance.now();
  }
}
