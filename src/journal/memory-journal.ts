import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';
import { newEpoch } from './epoch.js';
import {
  type AppendedIdempotent,
  type Deleted,
  type DeletingJournal,
  IDEMPOTENCY_MS,
  type IdempotencyKey,
  type Journal,
  type JournalEntry,
  type JournalListener,
  type RecentEntries,
  type IdempotentJournal,
  type Resolution,
  tombstone,
} from './journal.js';
import { Ring } from './ring.js';

/** Deleted entries that are remembered after the ring has dropped them: somebody may have read them before. */
const MAX_DELETED = 10_000;

/** A journal that lives and dies with the process. */
export class MemoryJournal implements Journal, IdempotentJournal, DeletingJournal {
  readonly #epoch = newEpoch();
  readonly #ring: Ring;
  readonly #listener: JournalListener;
  /** Named requests in the order in which they were carried out, which is that in which they are forgotten. */
  readonly #done = new Map<
    string,
    { readonly fingerprint: string; readonly offsets: readonly Offset[]; readonly endMs: number }
  >();
  /** Numbers of deleted entries, in the order of their deletion. */
  readonly #deleted = new Set<number>();

  /** @param maxlen - entries kept */
  constructor(maxlen: number, listener: JournalListener) {
    this.#ring = new Ring({ epoch: this.#epoch, seq: 0 }, maxlen);
    this.#listener = listener;
  }

  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    return Promise.resolve(this.#append(messages));
  }

  appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedIdempotent> {
    return Promise.resolve(this.#appendIdempotent(messages, once));
  }

  head(): Offset {
    return this.#ring.head;
  }

  get recent(): RecentEntries {
    return this.#ring;
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

  older(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  delete(offset: Offset): Promise<Deleted> {
    return Promise.resolve(this.#delete(offset));
  }

  current(entry: JournalEntry): JournalEntry {
    return this.#deleted.has(entry.seq) ? tombstone(entry) : entry;
  }

  #delete(offset: Offset): Deleted {
    const entry = this.#ring.get(offset);
    if (entry === undefined) {
      const isOlder = offset.epoch === this.#epoch && offset.seq >= 1 && offset.seq <= this.#ring.base.seq;
      return { outcome: isOlder ? 'expired' : 'missing' };
    }
    if (entry.deleted) return { outcome: 'repeated', entry };
    const left = tombstone(entry);
    this.#ring.replace(left);
    this.#deleted.add(entry.seq);
    const [oldest] = this.#deleted;
    if (this.#deleted.size > MAX_DELETED && oldest !== undefined) this.#deleted.delete(oldest);
    this.#listener.onDeleted?.(left);
    return { outcome: 'deleted', entry };
  }

  // Without an await: the ring and the listener change in the same turn, in this order (docs/ordering.md).
  #append(messages: readonly FeedMessage[]): readonly Offset[] {
    const places: Offset[] = [];
    const cameInAtMs = performance.now();
    for (const message of messages) {
      const seq = this.#ring.head.seq + 1;
      const entry: JournalEntry = { ...message, epoch: this.#epoch, seq, id: String(seq) };
      this.#ring.push(entry);
      this.#listener.onEntry(entry, cameInAtMs);
      places.push({ epoch: this.#epoch, seq });
    }
    return places;
  }

  // Without an await in between: two requests of one name must not both find it new (docs/ordering.md).
  #appendIdempotent(messages: readonly FeedMessage[], { key, fingerprint }: IdempotencyKey): AppendedIdempotent {
    const nowMs = Date.now();
    for (const [oldest, { endMs }] of this.#done) {
      if (endMs > nowMs) break;
      this.#done.delete(oldest);
    }
    const before = this.#done.get(key);
    if (before !== undefined) {
      return before.fingerprint === fingerprint
        ? { outcome: 'repeated', offsets: before.offsets }
        : { outcome: 'conflict' };
    }
    const offsets = this.#append(messages);
    this.#done.set(key, { fingerprint, offsets, endMs: nowMs + IDEMPOTENCY_MS });
    return { outcome: 'appended', offsets };
  }
}
