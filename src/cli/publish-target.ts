import type { FeedEvent } from '../contract/events.js';
import { EXIT, StartError } from '../errors.js';

/** One message to publish: its unchanged JSON text, and the number of its line. */
export interface Item {
  readonly line: number;
  readonly text: string;
}

/** What happened to some messages. */
export interface Outcome {
  /** The number of messages that were published. */
  readonly published: number;
  /** Their offsets, if the target learns them. */
  readonly offsets: readonly string[];
  /** Messages that were refused, and why. */
  readonly refused: readonly { readonly item: Item; readonly why: string }[];
}

/** How far a target came that had to give up. */
export interface PublishProgressMade {
  /** What happened to the messages before {@link next}. */
  readonly outcome: Outcome;
  /** The line of the first message that is not done. */
  readonly next: number;
  /** Messages from that line on that were sent, and may have been published. */
  readonly unsure: readonly Item[];
}

/** Why a target had to give up, and how far it came. */
export class PublishFailure extends StartError implements PublishProgressMade {
  readonly outcome: Outcome;
  readonly next: number;
  readonly unsure: readonly Item[];

  constructor(message: string, { outcome, next, unsure }: PublishProgressMade) {
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
   * @throws PublishFailure when it cannot; some of these may be published then
   */
  publish(event: FeedEvent, items: readonly Item[]): Promise<Outcome>;
  /** Lets what is under way end, without another attempt. */
  hurry(): void;
  /** What else there is to say of what was published, on standard error. */
  note?(): string | undefined;
  close(): void;
}
