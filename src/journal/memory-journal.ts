import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';
import { newEpoch } from './epoch.js';
import {
  type AppendedIdempotent,
  type Deleted,
  type DeletingJournal,
  type IdempotencyKey,
  type Journal,
  type JournalEntry,
  type JournalListener,
  type RecentEntries,
  type IdempotentJournal,
  type Resolution,
  tombstone,
} from './journal.js';
import { NamedRequests } from './named-requests.js';
import { Ring } from './ring.js';

/** How the journal is set up. */
export interface MemoryJournalOptions {
  /** Entries kept. */
  readonly maxEntries: number;
  /** What it may take in memory, about; the oldest entries go first. */
  readonly maxBytes: number;
  readonly listener: JournalListener;
}

/** Deleted entries that are remembered after the ring has dropped them: somebody may have read them before. */
const MAX_DELETED = 10_000;
/** What one of them takes. */
const DELETED_BYTES = 64;

/** Shares of the memory: for the answers to named requests, and for deletions. The rest is for entries. */
const REQUESTS_SHARE = 1 / 8;
const DELETED_SHARE = 1 / 64;

/** A text of its own. One that was cut out of a batch holds the whole batch in memory for as long as it lives. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}

/** A journal that lives and dies with the process. */
export class MemoryJournal implements Journal, IdempotentJournal, DeletingJournal {
  readonly #epoch = newEpoch();
  readonly #ring: Ring;
  readonly #listener: JournalListener;
  readonly #requests: NamedRequests;
  /** Numbers of deleted entries, in the order of their deletion. */
  readonly #deleted = new Set<number>();
  readonly #maxDeleted: number;

  constructor({ maxEntries, maxBytes, listener }: MemoryJournalOptions) {
    const ringBytes = maxBytes * (1 - REQUESTS_SHARE - DELETED_SHARE);
    this.#ring = new Ring({ epoch: this.#epoch, seq: 0 }, maxEntries, ringBytes);
    this.#requests = new NamedRequests(maxBytes * REQUESTS_SHARE);
    this.#maxDeleted = Math.min(MAX_DELETED, (maxBytes * DELETED_SHARE) / DELETED_BYTES);
    this.#listener = listener;
  }

  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    return this.#withRoom(() => this.#append(messages));
  }

  appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedIdempotent> {
    return this.#withRoom(() => this.#appendIdempotent(messages, once));
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

  /** There is nothing but what is in memory. */
  older(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  delete(offset: Offset): Promise<Deleted> {
    return Promise.resolve(this.#delete(offset));
  }

  current(entry: JournalEntry): JournalEntry {
    return this.#deleted.has(entry.seq) ? tombstone(entry) : entry;
  }

  /** Appends when the listener has room; at once if it has some, and whole in one turn. */
  async #withRoom<T>(append: () => T): Promise<T> {
    for (let room = this.#listener.room?.(); room !== undefined; room = this.#listener.room?.()) await room;
    return append();
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
    if (this.#deleted.size > this.#maxDeleted && oldest !== undefined) this.#deleted.delete(oldest);
    this.#listener.onDeleted?.(left);
    return { outcome: 'deleted', entry };
  }

  // Without an await: the ring and the listener change in the same turn, in this order (docs/ordering.md).
  #append(messages: readonly FeedMessage[]): readonly Offset[] {
    const places: Offset[] = [];
    const cameInAtMs = performance.now();
    for (const message of messages) {
      const seq = this.#ring.head.seq + 1;
      const entry: JournalEntry = { ...message, json: copyOf(message.json), epoch: this.#epoch, seq, id: String(seq) };
      this.#ring.push(entry);
      this.#listener.onEntry(entry, cameInAtMs);
      places.push({ epoch: this.#epoch, seq });
    }
    return places;
  }

  // Without an await in between: two requests of one name must not both find it new (docs/ordering.md).
  #appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): AppendedIdempotent {
    const nowMs = Date.now();
    const before = this.#requests.find(once.key, nowMs);
    if (before !== undefined) {
      return before.fingerprint === once.fingerprint
        ? { outcome: 'repeated', offsets: before.offsets }
        : { outcome: 'conflict' };
    }
    const offsets = this.#append(messages);
    this.#requests.remember(once, offsets, nowMs);
    return { outcome: 'appended', offsets };
  }
}
