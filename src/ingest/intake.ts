import { decodeBytes, type FeedMessage } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import type { Rejections } from './rejections.js';

/**
 * Takes messages from Pub/Sub: valid ones are passed on, invalid ones are noted and change nothing. Nothing here is awaited, so
 * messages stay in the order heard (docs/ordering.md).
 */
export class Intake {
  readonly #maxBytes: number;
  readonly #rejections: Rejections;
  readonly #accept: (message: FeedMessage) => void;

  /** @param maxBytes - longest message accepted */
  constructor(maxBytes: number, rejections: Rejections, accept: (message: FeedMessage) => void) {
    this.#maxBytes = maxBytes;
    this.#rejections = rejections;
    this.#accept = accept;
  }

  /** @param bytes - the message as received from Redis; kept only for the length of the call */
  take(event: FeedEvent, bytes: Uint8Array): void {
    const decoded = decodeBytes(event, bytes, this.#maxBytes);
    if (decoded.ok) this.#accept(decoded.message);
    else {
      const { reason, detail } = decoded;
      this.#rejections.note('pubsub', { event, reason, detail, bytes });
    }
  }
}
