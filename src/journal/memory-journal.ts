import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';
import { randomName } from '../random-name.js';
import {
  type AppendedOnce,
  IDEMPOTENCY_MS,
  type IdempotencyKey,
  type Journal,
  type JournalEntry,
  type JournalListener,
  type OnceJournal,
  type Resolution,
} from './journal.js';
import { Ring } from './ring.js';

/** A random name for one life of a journal. */
export function newEpoch(): string {
  return randomName(6);
}

/** A journal that lives and dies with the process. */
export class MemoryJournal implements Journal, OnceJournal {
  readonly #epoch = newEpoch();
  readonly #ring: Ring;
  readonly #listener: JournalListener;
  /** Named requests in the order in which they were carried out, which is that in which they are forgotten. */
  readonly #done = new Map<
    string,
    { readonly fingerprint: string; readonly offsets: readonly Offset[]; readonly end: number }
  >();

  /** @param maxlen - entries kept */
  constructor(maxlen: number, listener: JournalListener) {
    this.#ring = new Ring({ epoch: this.#epoch, seq: 0 }, maxlen);
    this.#listener = listener;
  }

  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    return Promise.resolve(this.#append(messages));
  }

  appendOnce(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedOnce> {
    return Promise.resolve(this.#appendOnce(messages, once));
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

  #append(messages: readonly FeedMessage[]): readonly Offset[] {
    const places: Offset[] = [];
    const since = performance.now();
    for (const message of messages) {
      const seq = this.#ring.head.seq + 1;
      const entry: JournalEntry = { ...message, epoch: this.#epoch, seq, id: String(seq) };
      this.#ring.push(entry);
      this.#listener.onEntry(entry, since);
      places.push({ epoch: this.#epoch, seq });
    }
    return places;
  }

  // Without an await in between: two requests of one name must not both find it new.
  #appendOnce(messages: readonly FeedMessage[], { key, fingerprint }: IdempotencyKey): AppendedOnce {
    const now = Date.now();
    for (const [oldest, { end }] of this.#done) {
      if (end > now) break;
      this.#done.delete(oldest);
    }
    const before = this.#done.get(key);
    if (before !== undefined) {
      return before.fingerprint === fingerprint
        ? { outcome: 'repeated', offsets: before.offsets }
        : { outcome: 'conflict' };
    }
    const offsets = this.#append(messages);
    this.#done.set(key, { fingerprint, offsets, end: now + IDEMPOTENCY_MS });
    return { outcome: 'appended', offsets };
  }
}
