import type { FeedMessage } from '../contract/decode.js';
import type { EntryPlace, Offset } from '../contract/offset.js';

/** A message in its place. */
export interface JournalEntry extends FeedMessage, EntryPlace {
  /** Random; tells a message that was appended twice from one that is read twice. */
  readonly id: string;
  /** With {@link EntryPlace.unbrokenFrom}: the epoch of the entry that has this number. */
  readonly unbrokenEpoch?: string;
  /**
   * On the first entry of an epoch that began because a pod had read what others have lost: the newest number of that. A pod
   * that had read so far has lost nothing itself.
   */
  readonly lostUpTo?: number;
  /**
   * Set on what is left of an entry that was deleted. It keeps its place, so that numbers stay contiguous, and its topics,
   * which say who would have got it. Its `json` is empty.
   */
  readonly deleted?: true;
  /** Of a deleted entry that was published over Pub/Sub: `nameOfMessage`, by which pods that heard it know it. */
  readonly name?: string;
}

/** Why the entries after an offset cannot be read: they are too old, or the journal they were in is lost. */
export type GapReason = 'expired' | 'epoch';

/** The outcome of a request for the entries after an offset. */
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
   * @param cameInAtMs - when its message came into this pod, on the clock of `performance.now()`; `undefined` if it came
   *   into another pod
   */
  onEntry(entry: JournalEntry, cameInAtMs?: number): void;
  /**
   * Asked before more entries are read or appended, where it has a limit.
   *
   * @returns `undefined` if it takes more now; else what resolves when it may. It MUST NOT reject
   */
  room?(): Promise<void> | undefined;
  /** Called when entries are lost to this reader: it was at one place and goes on after another. */
  onGap(reason: GapReason, requested: Offset, resumed: Offset): void;
  /**
   * Called when an entry was deleted, whether or not it was given to this listener before. MUST NOT throw.
   *
   * @param entry - what is left of it
   */
  onDeleted?(entry: JournalEntry): void;
}

/** Thrown by {@link Journal.append} when the messages are not in the journal. */
export class AppendError extends Error {
  override readonly name = 'AppendError';
}

/**
 * Thrown by {@link Journal.append} when the messages are in the journal, but not known to be on as many replicas as are asked
 * for: a failover may lose them.
 */
export class NotReplicatedError extends Error {
  override readonly name = 'NotReplicatedError';
  /** Replicas that were known to have them in time. */
  readonly replicas: number;
  /** Replicas that were asked for. */
  readonly needed: number;
  /** Whether it was this call that appended them, and not an earlier request of the same name. */
  readonly isNew: boolean;

  constructor({ replicas, needed, isNew }: { replicas: number; needed: number; isNew: boolean }) {
    super(`${replicas} of ${needed} replicas were known to have the messages in time`);
    this.replicas = replicas;
    this.needed = needed;
    this.isNew = isNew;
  }
}

/** Names a request, so that repeating it appends nothing. */
export interface IdempotencyKey {
  /** The caller's name for it. */
  readonly key: string;
  /** A digest of what it asks for. */
  readonly fingerprint: string;
}

/** How long a request is remembered. */
export const IDEMPOTENCY_MS = 300_000;

/**
 * What came of a named request: it was carried out now; or it was carried out before, and these were its places; or its name
 * stands for another request, and nothing was done.
 */
export type AppendedIdempotent =
  { readonly outcome: 'appended' | 'repeated'; readonly offsets: readonly Offset[] } | { readonly outcome: 'conflict' };

/** A journal that recognises a repeated request. */
export interface IdempotentJournal {
  /**
   * Appends as {@link Journal.append} does, unless a request of that name was carried out in the last
   * {@link IDEMPOTENCY_MS}, on any pod. After an error the same name may be used again: nothing is appended twice.
   *
   * @throws {@link AppendError} when it is not known whether the messages are in the journal; {@link NotReplicatedError} when
   *   it is not known whether enough replicas have them. The same name settles either
   */
  appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedIdempotent>;
}

/**
 * What came of a request to delete an entry: it was carried out now, or had been before; or there is no such entry, because it
 * is no longer kept (`expired`) or never existed (`missing`).
 */
export type Deleted =
  | { readonly outcome: 'deleted' | 'repeated'; readonly entry: JournalEntry }
  | { readonly outcome: 'expired' | 'missing' };

/** A journal that entries can be deleted from. */
export interface DeletingJournal {
  /**
   * Removes the payload of an entry for everybody who has not been sent it. Its place stays: what is read there from now on
   * is an entry with `deleted`. When it resolves, this pod reads it so; the journal MUST notify the other pods, which then do
   * too.
   *
   * @param reason - kept beside the journal, for whoever asks later
   * @throws what Redis says, when it is not known whether the entry is deleted; deleting it again is safe
   */
  delete(offset: Offset, reason: string): Promise<Deleted>;

  /** An entry that was read a while ago, as it is now: without its payload if it has been deleted since. */
  current(entry: JournalEntry): JournalEntry;
}

/** Numbers of entries: `from` and what follows, below `to`. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** When a search ends early. */
export interface LookLimits {
  /** Entries found at most. At least 1. */
  readonly entries: number;
  /** Work at most: an entry looked at counts as one, and so does the lookup of a room. At least 1. */
  readonly looks: number;
}

/** What came of a search. */
export interface Found {
  /** Numbers of entries, ascending. */
  readonly numbers: readonly number[];
  /** Everything below this number was searched. */
  readonly upTo: number;
  /** Work done, as {@link LookLimits.looks} counts. */
  readonly looked: number;
}

/**
 * The newest entries, in memory. Each has a number: consecutive, whatever the epochs, and never used twice. What was deleted
 * keeps its number.
 */
export interface RecentEntries {
  /** Number of the newest entry, plus one. */
  readonly end: number;

  /** Number of the first entry after a place; `undefined` where the entries after it are not all here. */
  numberAfter(offset: Offset): number | undefined;

  /** The entry of a number, if it is here. */
  at(number: number): JournalEntry | undefined;

  /**
   * Finds the entries that go to one of the rooms (`roomsOfEntry`), and the first of each epoch, where a hole may be.
   *
   * Costs what is found where the rooms are few, and never more than looking at every entry of the range.
   *
   * @param range - what of it is no longer here is skipped
   */
  wanted(rooms: ReadonlySet<string>, range: NumberRange, limits: LookLimits): Found;
}

/** What is left of an entry when it is deleted. */
export function tombstone(entry: JournalEntry): JournalEntry {
  return { ...entry, json: '', deleted: true };
}

/**
 * The ordered log of the feed, as one pod sees it.
 *
 * - `seq` MUST grow by exactly one an entry within an epoch, and from one epoch to the next. A number MUST NOT be given twice.
 *   A deleted entry keeps its place.
 * - A batch MUST be appended whole, without another entry in between, or not at all.
 * - The listener MUST get the entries in order, each once; of those that it cannot get, it MUST get a gap.
 */
export interface Journal {
  /**
   * @returns the places of the messages, in the order given
   * @throws {@link AppendError} when they are not in the journal
   */
  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]>;

  /** The newest place that the listener has been given. */
  head(): Offset;

  /** The newest entries, up to {@link head}. */
  readonly recent: RecentEntries;

  /**
   * The place that has `count` entries after it, up to {@link head}; the oldest that is available if it keeps fewer.
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

  /**
   * The entries after a place that {@link recent} no longer covers: at most a page, which all who want it share. Whoever has
   * read it asks again with its last place.
   *
   * @returns `undefined` where they are lost; none where nothing follows that the listener has been given
   * @throws what Redis says, when it cannot be read; or an error when too many wait
   */
  older(after: Offset): Promise<readonly JournalEntry[] | undefined>;
}
