import type { Logger } from 'pino';
import type { RejectReason } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';

/** How a message came in. */
export type Source = 'pubsub' | 'http' | 'stream';

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
  /** MUST NOT throw and MUST NOT wait: what cannot be kept is dropped. */
  keep(rejection: Rejection): void;
}

/** Counts a rejection. */
export type OnReject = (source: Source, event: FeedEvent, reason: RejectReason) => void;

/** A message that was refused, as received. */
export interface RejectedMessage {
  readonly event: FeedEvent;
  readonly reason: RejectReason;
  /** What is wrong, in a sentence. */
  readonly detail: string;
  readonly bytes: Uint8Array;
}

/** How {@link Rejections} is set up. */
export interface RejectionsOptions {
  readonly onReject: OnReject;
  /** Where samples are kept, if anywhere. */
  readonly store?: RejectionStore;
  /**
   * Whether this pod reports for all of them: every pod hears every message on Pub/Sub, and one log line and one sample are
   * enough.
   */
  readonly isReporter: () => boolean;
  readonly log: Logger;
}

const SAMPLE_BYTES = 512;
const WINDOW_MS = 10_000;
/** Samples of one reason kept in a window; a flood of invalid messages must not become a flood of writes. */
const KEPT_PER_WINDOW = 50;

/** Counts rejections, logs the first of each reason in a window and later how many were left out, and keeps samples. */
export class Rejections {
  readonly #options: RejectionsOptions;
  /** Rejections of this window, by reason. */
  readonly #window = new Map<RejectReason, number>();
  #windowEndMs = 0;

  constructor(options: RejectionsOptions) {
    this.#options = options;
  }

  /** Notes a rejection. */
  note(source: Source, { event, reason, detail, bytes }: RejectedMessage): void {
    const { log, onReject, store, isReporter } = this.#options;
    onReject(source, event, reason);
    if (source === 'pubsub' && !isReporter()) return;
    const nowMs = Date.now();
    if (nowMs >= this.#windowEndMs) this.#beginWindow(nowMs);
    const count = (this.#window.get(reason) ?? 0) + 1;
    this.#window.set(reason, count);
    if (count === 1) log.warn({ source, event, reason, detail }, 'message rejected');
    if (count > KEPT_PER_WINDOW) return;
    const sample = Buffer.from(bytes.subarray(0, SAMPLE_BYTES)).toString('utf8');
    store?.keep({ source, event, reason, detail, sample, at: new Date(nowMs).toISOString() });
  }

  #beginWindow(nowMs: number): void {
    this.#windowEndMs = nowMs + WINDOW_MS;
    for (const [reason, count] of this.#window) {
      if (count > 1) {
        this.#options.log.warn({ reason, left: count - 1 }, 'more messages were rejected than logged');
      }
    }
    this.#window.clear();
  }
}
