import { CHECKPOINT_GROUPS } from '../contract/rooms.js';
import { type Offset, formatOffset } from '../contract/offset.js';

/** How often a client gets a checkpoint, if the journal has moved. */
const INTERVAL_MS = 10_000;

/** Who tells a group. */
interface CheckpointTeller {
  checkpoint(group: number): void;
}

/**
 * Tells clients that do not get every signal where the journal is, so that quiet ones do not fall out of it.
 *
 * One group of clients after the other: thousands of checkpoints at once would hold up whatever signal comes then.
 */
export class Checkpoints {
  readonly #teller: CheckpointTeller;
  readonly #head: () => Offset;
  /** The last checkpoint of each group. */
  #last: string[] = [];
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param head - the place that live clients are at */
  constructor(teller: CheckpointTeller, head: () => Offset) {
    this.#teller = teller;
    this.#head = head;
  }

  start(): void {
    this.#last = Array.from({ length: CHECKPOINT_GROUPS }, () => formatOffset(this.#head()));
    this.#timer ??= setInterval(() => this.#tellNext(), INTERVAL_MS / CHECKPOINT_GROUPS);
  }

  /** May be called twice. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #tellNext(): void {
    const group = this.#next;
    this.#next = (group + 1) % CHECKPOINT_GROUPS;
    const text = formatOffset(this.#head());
    if (this.#last[group] === text) return;
    this.#last[group] = text;
    this.#teller.checkpoint(group);
  }
}
