import type { Logger } from 'pino';
import type { RejectReason } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';

/** The way a message came in. */
export type Source = 'pubsub' | 'http';

/** A message that was refused. */
export interface Rejection {
  readonly source: Source;
  readonly event: FeedEvent;
  readonly reason: RejectReason;
  /** What is wrong, in a sentence. */
  readonly detail: string;
  /** The first bytes of the message, as text. */
  readonly sample: string;
  /** When, ISO 8601. */
  readonly at: string;
}

/** Keeps rejections where an operator can look at them. */
export interface RejectionStore {
  /** MUST NOT throw and MUST NOT wait: what can not be kept is dropped. */
  keep(rejection: Rejection): void;
}

/** Counts a rejection. */
export type OnReject = (source: Source, event: FeedEvent, reason: RejectReason) => void;

const SAMPLE_BYTES = 512;
const WINDOW_MS = 10_000;
/** Samples of one reason kept a window; a flood of bad messages must not become a flood of writes. */
const KEPT_PER_WINDOW = 50;

/** Counts rejections, logs the first of each reason in a window with the number left out, and keeps samples. */
export class Rejections {
  readonly #log: Logger;
  readonly #store: RejectionStore | undefined;
  readonly #isReporter: () => boolean;
  readonly #count: OnReject;
  /** Rejections of this window, by reason. */
  readonly #window = new Map<RejectReason, number>();
  #windowEnd = 0;

  /**
   * @param isReporter - whether this pod speaks for all of them: every pod hears every message on Pub/Sub, and one log
   *   line and one sample are enough
   */
  constructor(log: Logger, count: OnReject, store: RejectionStore | undefined, isReporter: () => boolean) {
    this.#log = log;
    this.#count = count;
    this.#store = store;
    this.#isReporter = isReporter;
  }

  /** Notes a rejection; `bytes` is the message as it came. */
  note(source: Source, event: FeedEvent, reason: RejectReason, detail: string, bytes: Uint8Array): void {
    this.#count(source, event, reason);
    if (source === 'pubsub' && !this.#isReporter()) return;
    const now = Date.now();
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW_MS;
      for (const [key, count] of this.#window) {
        if (count > 1) this.#log.warn({ reason: key, left: count - 1 }, 'more messages were rejected than were logged');
      }
      this.#window.clear();
    }
    const count = (this.#window.get(reason) ?? 0) + 1;
    this.#window.set(reason, count);
    if (count === 1) this.#log.warn({ source, event, reason, detail }, 'message rejected');
    if (count > KEPT_PER_WINDOW) return;
    const sample = Buffer.from(bytes.subarray(0, SAMPLE_BYTES)).toString('utf8');
    this.#store?.keep({ source, event, reason, detail, sample, at: new Date(now).toISOString() });
  }
}
