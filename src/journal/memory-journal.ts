import { randomBytes } from 'node:crypto';
import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';
import type { Journal, JournalEntry, JournalListener, Resolution } from './journal.js';
import { Ring } from './ring.js';

/** A random name for one life of a journal. */
export function newEpoch(): string {
  return randomBytes(6).toString('base64url');
}

/** A journal that lives and dies with the process. */
export class MemoryJournal implements Journal {
  readonly #epoch = newEpoch();
  readonly #ring: Ring;
  readonly #listener: JournalListener;

  /** @param maxlen - entries kept */
  constructor(maxlen: number, listener: JournalListener) {
    this.#ring = new Ring({ epoch: this.#epoch, seq: 0 }, maxlen);
    this.#listener = listener;
  }

  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    const places: Offset[] = [];
    const since = performance.now();
    for (const message of messages) {
      const seq = this.#ring.head.seq + 1;
      const entry: JournalEntry = { ...message, epoch: this.#epoch, seq, id: String(seq) };
      this.#ring.push(entry);
      this.#listener.onEntry(entry, since);
      places.push({ epoch: this.#epoch, seq });
    }
    return Promise.resolve(places);
  }

  head(): Offset {
    return this.#ring.head;
  }

  back(count: number): Offset {
    return this.#ring.back(count);
  }

  resolve(offset: Offset): Promise<Resolution> {
    if (this.#ring.covers(offset)) return Promise.resolve({ ok: true });
    const isOlder = offset.epoch === this.#epoch && offset.seq < this.#ring.head.seq;
    return Promise.resolve({ ok: false, reason: isOlder ? 'expired' : 'epoch' });
  }

  read(after: Offset, limit: number): readonly JournalEntry[] | undefined {
    return this.#ring.after(after, limit);
  }
}
