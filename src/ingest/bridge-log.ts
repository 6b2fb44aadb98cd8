import type { Logger } from 'pino';
import type { BridgeQueue } from './bridge-queue.js';

/** How often it is logged that something lasts. */
const LOG_INTERVAL_MS = 30_000;

/** What the bridge says again and again while it lasts: at most twice a minute. */
export class BridgeLog {
  readonly #queue: Pick<BridgeQueue, 'length' | 'waitingSinceMs'>;
  readonly #log: Logger;
  #stuckAtMs = -Infinity;
  #unsureAtMs = -Infinity;

  constructor(queue: Pick<BridgeQueue, 'length' | 'waitingSinceMs'>, log: Logger) {
    this.#queue = queue;
    this.#log = log;
  }

  /** Says that messages wait, if some do. */
  stuck(reason: string): void {
    const { waitingSinceMs, length: waiting } = this.#queue;
    const nowMs = performance.now();
    if (waitingSinceMs === undefined || nowMs - this.#stuckAtMs < LOG_INTERVAL_MS) return;
    this.#stuckAtMs = nowMs;
    const seconds = Math.round((nowMs - waitingSinceMs) / 1000);
    this.#log.warn(
      { reason, waiting, seconds },
      'messages from Pub/Sub wait: they cannot be appended to the journal; trying again',
    );
  }

  /** Says that this pod cannot take the bridge over. */
  unsure(reason: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#unsureAtMs < LOG_INTERVAL_MS) return;
    this.#unsureAtMs = nowMs;
    this.#log.warn({ reason }, 'cannot tell what the journal lacks; leaving the bridge to another pod');
  }
}
