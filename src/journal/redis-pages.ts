import type { Cluster, Redis } from 'ioredis';
import type { Offset } from '../contract/offset.js';
import { entryBytes } from './entry-bytes.js';
import type { JournalEntry, Resolution } from './journal.js';
import type { Page } from './page-cache.js';
import type { JournalKeys } from './redis-keys.js';
import { type RedisTombstones, isWhole } from './redis-tombstones.js';
import type { Ring } from './ring.js';
import { StoredEntries } from './stored-entries.js';

/** How {@link RedisPages} is set up. */
export interface RedisPagesOptions {
  /** Of its own: what clients cause MUST NOT delay an append or the lease. */
  readonly commands: Redis | Cluster;
  readonly keys: JournalKeys;
  /** What this pod has read. */
  readonly ring: Ring;
  readonly tombstones: RedisTombstones;
}

/** Reads from Redis what is older than a pod's ring, with deleted entries in their places. */
export class RedisPages {
  readonly #options: RedisPagesOptions;
  readonly #stored: StoredEntries;

  constructor(options: RedisPagesOptions) {
    this.#options = options;
    this.#stored = new StoredEntries(options.keys.journal);
  }

  /** As in `Journal.resolve`, for a place that the ring does not cover. */
  async resolve(offset: Offset): Promise<Resolution> {
    const { commands, tombstones, ring } = this.#options;
    // Either the entry itself is there, or the very next one of its epoch: then nothing between them is missing.
    const near = await this.#range(offset.seq, offset.seq + 1);
    if (near.some(({ epoch }) => epoch === offset.epoch)) return { ok: true };
    const oldest = await this.#oldest();
    await tombstones.refresh(commands);
    const floor = oldest === undefined ? 0 : tombstones.floor(oldest.seq);
    const deleted = tombstones.between(offset.seq - 1, offset.seq + 2);
    if (deleted.some(({ epoch, seq }) => epoch === offset.epoch && seq >= floor)) return { ok: true };
    const isOlder = oldest === undefined || oldest.seq > offset.seq;
    const isKnown = ring.knowsEpoch(offset.epoch) || (await this.isCurrent(offset.epoch));
    return { ok: false, reason: isOlder && isKnown ? 'expired' : 'epoch' };
  }

  /** As in `Journal.back`. */
  async back(count: number): Promise<Offset> {
    const { ring, tombstones } = this.#options;
    const { head } = ring;
    if (!Number.isFinite(count)) {
      const oldest = await this.#oldest();
      if (oldest === undefined) return ring.base;
      const [first = oldest] = tombstones.between(tombstones.floor(oldest.seq) - 1, oldest.seq);
      return { epoch: first.epoch, seq: first.seq - 1 };
    }
    // Entries that the reader has not read yet do not count.
    const stored = (await this.#stored.backward(this.#options.commands, count + 1, head.seq)).toReversed();
    const begin = (): number => tombstones.floor(stored[0]?.seq ?? head.seq + 1) - 1;
    const entries = (await this.#filled(stored, begin)).filter(({ seq }) => seq <= head.seq);
    const before = entries.at(-1 - count);
    const [first] = entries;
    if (first === undefined) return head;
    return before === undefined ? { epoch: first.epoch, seq: first.seq - 1 } : { epoch: before.epoch, seq: before.seq };
  }

  /** As in `Journal.read`, for a place that the ring does not cover. */
  async read(after: Offset, limit: number): Promise<readonly JournalEntry[] | undefined> {
    const { commands, tombstones } = this.#options;
    const stored = (await this.#stored.forward(commands, after.seq, limit + 1)).entries;
    // The place itself may be that of a deleted one.
    const begin = (): number => (tombstones.follows(after.seq - 1) ? after.seq - 1 : after.seq);
    const entries = await this.#filled(stored, begin, after.seq);
    const [first] = entries;
    if (first === undefined || first.epoch !== after.epoch) return undefined;
    if (first.seq === after.seq) entries.shift();
    else if (first.seq !== after.seq + 1) return undefined;
    return this.visible(entries.slice(0, limit));
  }

  /** So many entries from a number on, as they stand in Redis, and what was deleted between them. */
  async page(from: number, count: number): Promise<Page> {
    const { entries: stored, isEnd } = await this.#stored.forward(this.#options.commands, from, count);
    const entries = await this.#filled(stored, () => from - 1, from - 1);
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    return { from, entries, isEnd, bytes };
  }

  /** What of some entries this pod may give to clients, as they are now: what its reader has not read yet reaches them live. */
  visible(entries: readonly JournalEntry[]): JournalEntry[] {
    const { ring, tombstones } = this.#options;
    return entries.filter(({ seq }) => seq <= ring.head.seq).map((entry) => tombstones.current(entry));
  }

  /** The entry at a place, or what is left of it; `undefined` where there is none. */
  async get(offset: Offset): Promise<JournalEntry | undefined> {
    const entries = await this.#filled(await this.#range(offset.seq, offset.seq), () => offset.seq - 1);
    return entries.find(({ epoch, seq }) => seq === offset.seq && epoch === offset.epoch);
  }

  /** Why there is no entry at a place: it is older than what is kept, or there never was one that anybody knows of. */
  async whyMissing({ epoch, seq }: Offset): Promise<'expired' | 'missing'> {
    const { ring, commands, keys } = this.#options;
    const oldest = (await this.#oldest())?.seq ?? ring.head.seq + 1;
    if (seq < 1 || seq >= oldest) return 'missing';
    const [before, start] = await commands.hmget(keys.meta, 'before', 'start');
    // Numbers that the current epoch leaves out.
    if (before && seq > Number(before) && seq <= Number(start)) return 'missing';
    return ring.knowsEpoch(epoch) || (await this.isCurrent(epoch)) ? 'expired' : 'missing';
  }

  /** Whether an epoch is the one that Redis appends to now. */
  async isCurrent(epoch: string): Promise<boolean> {
    return (await this.#options.commands.hget(this.#options.keys.meta, 'epoch')) === epoch;
  }

  async #range(from: number, to: number): Promise<JournalEntry[]> {
    return this.#stored.between(this.#options.commands, from, to);
  }

  async #oldest(): Promise<JournalEntry | undefined> {
    return this.#stored.oldest(this.#options.commands);
  }

  /**
   * A page with what was deleted in its places.
   *
   * @param begin - the position that it is read after, as far as is known of deletions
   * @param from - the number that it is read after; without it the page begins with its first entry
   */
  async #filled(page: readonly JournalEntry[], begin: () => number, from?: number): Promise<JournalEntry[]> {
    const { commands, tombstones } = this.#options;
    const filled = tombstones.fill(page, begin());
    const [first] = filled;
    if (first !== undefined && isWhole(filled, from ?? first.seq)) return filled;
    // The page may be newer than what this pod knows of deletions.
    await tombstones.refresh(commands);
    return tombstones.fill(page, begin());
  }
}
