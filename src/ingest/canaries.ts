import { randomBytes } from 'node:crypto';
import { withTimeout } from '../deadline.js';

/** A canary that is not heard by then never will be. */
const PATIENCE_MS = 3000;

/**
 * Words that a pod publishes to itself. One that comes back proves that the subscription hears, and that it has heard all
 * that was published before on the same server.
 */
export class Canaries {
  readonly #publish: (text: string) => Promise<unknown>;
  readonly #onHeard: (sentAtMs: number) => void;
  /** What to do when one is heard. */
  readonly #awaited = new Map<string, () => void>();
  /** The newest of {@link send}, if it is not heard yet. */
  #sent: { readonly text: string; readonly atMs: number } | undefined;

  /**
   * @param onHeard - called in the same turn in which one is heard, with the time at which it was sent, on the clock of
   *   `performance.now()`
   */
  constructor(publish: (text: string) => Promise<unknown>, onHeard: (sentAtMs: number) => void) {
    this.#publish = publish;
    this.#onHeard = onHeard;
  }

  /**
   * Sends one and waits for it.
   *
   * @returns whether it was heard in time
   * @throws if it cannot be published
   */
  async roundTrip(): Promise<boolean> {
    const text = randomBytes(6).toString('base64url');
    const atMs = performance.now();
    const heard = new Promise<void>((resolve) => {
      this.#awaited.set(text, () => {
        // Not after the promise: by then a later message may have been taken for an earlier one (docs/ordering.md).
        this.#onHeard(atMs);
        resolve();
      });
    });
    try {
      await this.#publish(text);
      return await withTimeout(PATIENCE_MS, 'hearing a canary', heard).then(
        () => true,
        () => false,
      );
    } finally {
      this.#awaited.delete(text);
    }
  }

  /**
   * Sends one, unless one is on its way.
   *
   * @returns whether one has been on its way for too long: Redis answers commands, yet what is published does not arrive here
   * @throws if it cannot be published
   */
  async send(): Promise<boolean> {
    const nowMs = performance.now();
    if (this.#sent !== undefined) return nowMs - this.#sent.atMs >= PATIENCE_MS;
    const sent = { text: randomBytes(6).toString('base64url'), atMs: nowMs };
    this.#sent = sent;
    try {
      await this.#publish(sent.text);
    } catch (error) {
      // It is not on its way: that it is not heard says nothing about the subscription.
      if (this.#sent === sent) this.#sent = undefined;
      throw error;
    }
    return false;
  }

  /** Forgets the one that {@link send} has sent. */
  forget(): void {
    this.#sent = undefined;
  }

  /** Takes a word from the channel. @returns whether it was a canary of this pod */
  heard(text: string): boolean {
    if (this.#sent?.text === text) {
      const { atMs } = this.#sent;
      this.#sent = undefined;
      this.#onHeard(atMs);
      return true;
    }
    const onHeard = this.#awaited.get(text);
    onHeard?.();
    return onHeard !== undefined;
  }
}
