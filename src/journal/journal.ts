import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';

/** A message in its place. */
export interface JournalEntry extends FeedMessage, Offset {
  /** Random; tells two entries apart that a failover gave the same `seq`. */
  readonly id: string;
}

/** Why the entries after an offset can not be had: they are too old, or the journal they were in is lost. */
export type GapReason = 'expired' | 'epoch';

/** What became of a request for the entries after an offset. */
export type Resolution = { readonly ok: true } | { readonly ok: false; readonly reason: GapReason };

/** The newest `status_update` of a service. */
export interface StatusEntry extends Offset {
  readonly service: string;
  readonly json: string;
}

/** Who gets what the journal has. */
export interface JournalListener {
  /**
   * Gets every entry, in order, each once. MUST NOT throw.
   *
   * @param since - when its message came into this pod, on the clock of `performance.now()`; `undefined` where it came
   *   in on another
   */
  onEntry(entry: JournalEntry, since?: number): void;
  /** Told when entries are lost for this reader: it was at one place and goes on after another. */
  onGap(reason: GapReason, requested: Offset, resumed: Offset): void;
}

/** Thrown by {@link Journal.append} when the messages are not in the journal. */
export class AppendError extends Error {
  override readonly name = 'AppendError';
}

/** Names a request, so that a repetition of it appends nothing. */
export interface IdempotencyKey {
  /** The caller's name for it. */
  readonly key: string;
  /** A digest of what it asks for. */
  readonly fingerprint: string;
}

/** How long a request is remembered. */
export const IDEMPOTENCY_MS = 300_000;

/**
 * What came of a named request: it was carried out now, or was before and these are the places of then; or its name stands
 * for another request, and nothing was done.
 */
export type AppendedOnce =
  { readonly outcome: 'appended' | 'repeated'; readonly offsets: readonly Offset[] } | { readonly outcome: 'conflict' };

/** A journal that can tell a repetition. */
export interface OnceJournal {
  /**
   * Appends as {@link Journal.append} does, unless a request of that name was carried out in the last
   * {@link IDEMPOTENCY_MS}, on any pod. After an error the same name may be used again: nothing is ever appended twice.
   *
   * @throws {@link AppendError} when it is not known whether the messages are in the journal
   */
  appendOnce(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedOnce>;
}

/**
 * The ordered log of the feed, as one pod sees it.
 *
 * - `seq` MUST grow by exactly one an entry within an epoch, and one offset MUST NOT name two different entries.
 * - A batch MUST be appended whole, without another entry in between, or not at all.
 * - The listener MUST get the entries in order, each once; what it can not get it is told of.
 */
export interface Journal {
  /**
   * @returns the places of the messages, in the order given
   * @throws {@link AppendError} when they are not in the journal
   */
  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]>;

  /** The newest place that the listener has been given. */
  head(): Offset;

  /**
   * The place that has `count` entries after it, up to {@link head}; the oldest that can be had if it keeps fewer.
   *
   * @param count - `Infinity` for the oldest
   */
  back(count: number): Offset | Promise<Offset>;

  /**
   * Whether every entry after an offset can still be read. Waits, up to a limit, for an offset that another pod has
   * seen and this one has not yet.
   */
  resolve(offset: Offset): Promise<Resolution>;

  /**
   * Entries after an offset that {@link resolve} has found good, oldest first; never beyond {@link head}.
   *
   * @param limit - most entries returned
   * @returns an array at once when it has them in memory, so that the caller can go live in the same turn; `undefined`
   *   when they are lost meanwhile
   */
  read(
    after: Offset,
    limit: number,
  ): readonly JournalEntry[] | Promise<readonly JournalEntry[] | undefined> | undefined;
}
