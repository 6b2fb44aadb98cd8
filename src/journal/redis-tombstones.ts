import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { nameOfMessage } from '../contract/message-name.js';
import { type Offset, formatOffset, isHole } from '../contract/offset.js';
import type { JournalEntry } from './journal.js';
import { type Deletion, LARGEST_ID, type RawEntry, parseDeletion } from './redis-entry.js';
import type { JournalKeys } from './redis-keys.js';
import { deleteScript } from './redis-scripts.js';
import type { KeyCare } from '../redis/key-care.js';
import type { Ring } from './ring.js';
import { StoredEntries } from './stored-entries.js';

/** What came of the deletion script. */
export type DeleteAnswer = 'OK' | 'AGAIN' | 'GONE';

/** How {@link RedisTombstones} is set up. */
export interface RedisTombstonesOptions {
  readonly keys: JournalKeys;
  readonly ring: Ring;
  /** Called once for every entry that was deleted. */
  readonly onDeleted: (entry: JournalEntry) => void;
  readonly care: KeyCare;
  readonly log: Logger;
}

const PAGE = 1000;
/** How far the clock of Redis may be ahead of this process's. */
const AHEAD_MS = 3_600_000;
/** So many more deletions than Redis had: then those are forgotten that Redis has dropped since. */
const SPARE = 10_000;
/** Deletions that are remembered after Redis has dropped or lost them: somebody may have read the entries before. */
const MAX_GONE = 10_000;

/**
 * What is left of entries that were deleted from the journal in Redis.
 *
 * A stream cannot change an entry, so its place in the stream is empty, and this is kept beside it, written by the same
 * script. Every pod has all of it in memory: whoever reads the journal fills the empty places from here, and whoever finds one
 * that it cannot fill reads what was added meanwhile ({@link refresh}) before it takes entries for lost.
 */
export class RedisTombstones {
  readonly #options: RedisTombstonesOptions;
  readonly #byId = new Map<string, Deletion>();
  /** Those that Redis no longer knows, and has no entry of: the oldest are forgotten first. */
  readonly #gone = new Set<string>();
  /** Those with an empty place in the stream. */
  readonly #bySeq = new Map<number, JournalEntry>();
  #last = '0-0';
  /** How often all of them were read again: each time {@link last} starts over. */
  #reloads = 0;
  #limit = SPARE;

  constructor(options: RedisTombstonesOptions) {
    this.#options = options;
  }

  /** Id of the newest deletion read. */
  get last(): string {
    return this.#last;
  }

  /** Whether to {@link reload}, so that what Redis has dropped is forgotten. */
  get isLarge(): boolean {
    return this.#byId.size > this.#limit;
  }

  /**
   * Whether the newest id is in the future, so that somebody else has written there. Once that is removed, new deletions have
   * lower ids: {@link reload} finds them.
   */
  get isAhead(): boolean {
    return Number.parseInt(this.#last, 10) > Date.now() + AHEAD_MS;
  }

  /** Whether an entry was deleted. */
  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Whether the entry at this place of the stream was deleted. */
  isStored({ epoch, seq }: Offset): boolean {
    return this.#bySeq.get(seq)?.epoch === epoch;
  }

  /** An entry that was read before, without its payload if it was deleted since. */
  current(entry: JournalEntry): JournalEntry {
    const deletion = entry.deleted ? undefined : this.#byId.get(entry.id);
    return deletion?.entry ?? entry;
  }

  /**
   * Puts what was deleted into its place.
   *
   * @param entries - of the stream, in order
   * @param after - the position that they were read after
   * @returns also what was deleted right behind the last of them
   */
  fill(entries: readonly JournalEntry[], after: number): JournalEntry[] {
    const filled: JournalEntry[] = [];
    let last = after;
    for (const entry of entries) {
      if (entry.seq > last + 1) filled.push(...this.between(last, entry.seq));
      filled.push(this.current(entry));
      last = entry.seq;
    }
    for (let next = this.#bySeq.get(last + 1); next !== undefined; next = this.#bySeq.get(last + 1)) {
      filled.push(next);
      last++;
    }
    return filled;
  }

  /** What was deleted between two positions, both excluded, in order. */
  between(after: number, before: number): JournalEntry[] {
    const found: JournalEntry[] = [];
    if (before - after > this.#bySeq.size) {
      for (const [seq, entry] of this.#bySeq) if (seq > after && seq < before) found.push(entry);
      return found.toSorted((a, b) => a.seq - b.seq);
    }
    for (let seq = after + 1; seq < before; seq++) {
      const entry = this.#bySeq.get(seq);
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }

  /** Whether the next entry after a position was deleted, so that the stream has nothing there to wait for. */
  follows(position: number): boolean {
    return this.#bySeq.has(position + 1);
  }

  /** The oldest number that is kept where the oldest entry of the stream has this one: those before it may be deleted. */
  floor(oldest: number): number {
    let floor = oldest;
    while (this.#bySeq.has(floor - 1)) floor--;
    return floor;
  }

  /**
   * Takes deletions out of their stream, in order; those that are known already do nothing. Without an await: whoever reads next
   * finds neither the payload nor a hole (docs/ordering.md).
   */
  take(records: readonly RawEntry[]): void {
    const { ring, onDeleted, log } = this.#options;
    for (const record of records) {
      this.#last = record[0];
      const deletion = parseDeletion(record);
      if (deletion === undefined) continue;
      const { entry, isStored } = deletion;
      if (isStored) this.#bySeq.set(entry.seq, entry);
      if (this.#byId.has(entry.id)) {
        this.#gone.delete(entry.id);
        continue;
      }
      this.#byId.set(entry.id, deletion);
      if (ring.replace(entry)) {
        log.info({ offset: formatOffset(entry) }, 'a journal entry was deleted; this pod no longer serves it');
      }
      onDeleted(entry);
    }
  }

  /** Reads what was added since. */
  async refresh(redis: Redis | Cluster): Promise<void> {
    for (;;) {
      const reloads = this.#reloads;
      const page = await this.#page(redis, this.#last);
      // Read after a place that is no longer the last one: what lies between would be skipped.
      if (reloads !== this.#reloads) continue;
      this.take(page);
      if (page.length < PAGE) return;
    }
  }

  /**
   * Reads all of them again. A Redis that failed over or was restarted may have lost some: these are carried out again, or the
   * payloads would be back. Until that is settled, and for as long as somebody may have read the entries before, they are
   * still known as deleted: a replay may have a page in hand.
   */
  async reload(redis: Redis | Cluster): Promise<void> {
    // What another connection reads meanwhile may be newer than the pages read here: it is not lost.
    const known = new Set(this.#byId.keys());
    const records: RawEntry[] = [];
    for (let after = '0-0'; ;) {
      const page = await this.#page(redis, after);
      records.push(...page);
      after = page.at(-1)?.[0] ?? after;
      if (page.length < PAGE) break;
    }
    const there = new Set(records.map((record) => parseDeletion(record)?.entry.id));
    const lost: Deletion[] = [];
    this.#bySeq.clear();
    for (const [id, deletion] of this.#byId) {
      if (there.has(id)) continue;
      if (!known.has(id)) {
        if (deletion.isStored) this.#bySeq.set(deletion.entry.seq, deletion.entry);
      } else if (!this.#gone.has(id)) lost.push(deletion);
    }
    this.#reloads++;
    this.#last = '0-0';
    this.take(records);
    if (lost.length > 0) await this.#carryOutAgain(redis, lost);
    this.#limit = this.#byId.size + SPARE;
  }

  /**
   * Deletes an entry in Redis; every pod learns of it by reading the deletions.
   *
   * @param isHere - whether this pod has it in memory: then others may, though Redis has lost it
   */
  async carryOut(
    redis: Redis | Cluster,
    { entry, reason }: { readonly entry: JournalEntry; readonly reason: string },
    isHere: boolean,
  ): Promise<DeleteAnswer> {
    const { journal, deletions, statuses } = this.#options.keys;
    const { epoch, seq, id, event, json, symbol = '', timeframe = '', service = '' } = entry;
    const name = entry.deleted ? (entry.name ?? '') : nameOfMessage(event, json);
    const { unbrokenFrom, unbrokenEpoch = '', lostUpTo = '' } = entry;
    const from = unbrokenFrom === undefined ? '' : formatOffset({ epoch: unbrokenEpoch, seq: unbrokenFrom });
    const about = [event, symbol, timeframe, service, name, from, lostUpTo];
    const args = [seq, id, reason, isHere ? '1' : '0', epoch, ...about];
    const scriptKeys = [journal, deletions, statuses];
    const answer = this.#options.care.run(redis, scriptKeys, () => deleteScript.run(redis, scriptKeys, args));
    return (await answer) as DeleteAnswer;
  }

  /** Carries out again what Redis has lost, where it has the entry. */
  async #carryOutAgain(redis: Redis | Cluster, lost: readonly Deletion[]): Promise<void> {
    const from = (await new StoredEntries(this.#options.keys.journal).oldest(redis))?.seq ?? Infinity;
    for (const deletion of lost) {
      const { entry } = deletion;
      if (entry.seq < from || (await this.carryOut(redis, deletion, false)) !== 'OK') {
        this.#gone.add(entry.id);
        continue;
      }
      const offset = formatOffset(entry);
      this.#options.log.warn({ offset }, 'Redis had lost the deletion of a journal entry; deleted it again');
    }
    // Those above, and what others carried out meanwhile.
    await this.refresh(redis);
    for (const id of this.#gone) {
      if (this.#gone.size <= MAX_GONE) break;
      this.#gone.delete(id);
      this.#byId.delete(id);
    }
  }

  async #page(redis: Redis | Cluster, after: string): Promise<RawEntry[]> {
    if (after === LARGEST_ID) return [];
    return redis.xrange(this.#options.keys.deletions, `(${after}`, '+', 'COUNT', PAGE);
  }
}

/** Whether nothing is missing in a page, from `after` (or the number behind it) on. */
export function isWhole(page: readonly JournalEntry[], after: number): boolean {
  const [first] = page;
  if (first === undefined || (first.unbrokenFrom ?? first.seq - 1) > after) return false;
  return page.every((entry, i) => i === 0 || !isHole(page[i - 1] ?? entry, entry));
}

/**
 * The end of a page from which on no number is left out within an epoch. One that is was deleted by somebody else's hand, or by
 * a gateway of another version, and nothing is known of it.
 */
export function wholeEnd(page: readonly JournalEntry[]): readonly JournalEntry[] {
  const hole = page.findLastIndex((entry, i) => {
    const former = page[i - 1];
    return former?.epoch === entry.epoch && entry.seq !== former.seq + 1;
  });
  return hole > 0 ? page.slice(hole) : page;
}
