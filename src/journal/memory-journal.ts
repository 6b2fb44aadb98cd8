import { randomBytes } from 'node:crypto';
import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';
import type { Journal, JournalEntry } from './journal.js';

/** A journal that lives and dies with the process. */
export class MemoryJournal implements Journal {
  readonly #epoch = randomBytes(6).toString('base64url');
  readonly #onEntry: (entry: JournalEntry) => void;
  #seq = 0;

  /** @param onEntry - gets every entry, in order, in the same turn of the loop in which it was appended */
  constructor(onEntry: (entry: JournalEntry) => void) {
    this.#onEntry = onEntry;
  }

  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    return Promise.resolve(messages.map((message) => this.appendOne(message)));
  }

  /** As {@link append}, for one message and without a promise. */
  appendOne(message: FeedMessage): Offset {
    const place: Offset = { epoch: this.#epoch, seq: ++this.#seq };
    this.#onEntry({ ...message, ...place });
    return place;
  }

  head(): Offset {
    return { epoch: this.#epoch, seq: this.#seq };
  }
}
