import type { FeedEvent } from '../contract/events.js';
import { EXIT, StartError } from '../errors.js';

/** One message to publish: its JSON text as it came, and the line it stood in. */
export interface Item {
  readonly line: number;
  readonly text: string;
}

/** What became of some messages. */
export interface Outcome {
  /** How many were published. */
  readonly published: number;
  /** Their places, where the way they were published tells them. */
  readonly offsets: readonly string[];
  /** Those that were not taken, and why. */
  readonly refused: readonly { readonly item: Item; readonly why: string }[];
}

/** Why a target had to give up, and how far it came. */
export class PublishFailure extends StartError {
  /** What became of the messages before {@link next}. */
  readonly outcome: Outcome;
  /** The line of the first message that is not done. */
  readonly next: number;
  /** Messages from that line on that were sent, and of which nobody knows whether they were published. */
  readonly unsure: readonly Item[];

  constructor(message: string, outcome: Outcome, next: number, unsure: readonly Item[]) {
    super(message, EXIT.failed);
    this.outcome = outcome;
    this.next = next;
    this.unsure = unsure;
  }
}

/** Where messages are published. */
export interface PublishTarget {
  /**
   * Publishes messages, in order.
   *
   * @throws PublishFailure when it can not; it may have published some of these
   */
  publish(event: FeedEvent, items: readonly Item[]): Promise<Outcome>;
  /** Lets what is under way end, without another try. */
  hurry(): void;
  close(): void;
}
