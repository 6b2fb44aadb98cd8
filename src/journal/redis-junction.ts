import type { Cluster, Redis } from 'ioredis';
import type { Offset } from '../contract/offset.js';
import { newEpoch } from './epoch.js';
import type { JournalEntry } from './journal.js';
import { type RawEntry, parseEntry } from './redis-entry.js';
import type { JournalKeys } from './redis-keys.js';
import { forkScript } from './redis-scripts.js';
import type { RedisTombstones } from './redis-tombstones.js';
import type { Ring } from './ring.js';

/** Where the reader goes on, after it has compared what it has with what Redis has. */
export interface Junction {
  /** Reading goes on after this stream position. */
  readonly after: number;
  /** Entries of this epoch above this position are another history and are read under a new name. */
  readonly rename?: Rename;
  /** The current epoch, where it is another than was named before. */
  readonly epoch?: string;
  /** Entries before this place are lost to the reader. */
  readonly gap?: Offset;
  /**
   * Newest number of a lost tail that this pod had read: a number left out up to there was not lost to it. Where it is absent,
   * what was known before holds.
   */
  readonly lostSeen?: number;
}

/** Another history under the name of an epoch that this pod has read differently, and the name this pod gives it. */
export interface Rename {
  readonly dead: string;
  readonly above: number;
  readonly as: string;
}

/** How {@link RedisJunctions} is set up. */
export interface RedisJunctionsOptions {
  readonly keys: JournalKeys;
  /** What this pod has read. */
  readonly ring: Ring;
  readonly tombstones: RedisTombstones;
  /** An entry under the epoch by which this pod names it. */
  readonly named: (entry: JournalEntry) => JournalEntry;
}

/** An epoch that goes on above what this pod had read. */
interface Above {
  readonly epoch: string;
  readonly lostSeen: number;
}

const SCAN_COUNT = 500;

/**
 * Finds where reading goes on after a break: the newest entry that this pod has may be gone from Redis, or another may be in
 * its place. Then the junction is behind the last entry that both have, and what follows it in Redis is another history. Where
 * the epoch does not say so already, it begins a new one in Redis.
 */
export class RedisJunctions {
  readonly #options: RedisJunctionsOptions;

  constructor(options: RedisJunctionsOptions) {
    this.#options = options;
  }

  /** @param current - the current epoch in Redis and the `seq` of its newest entry, as `open.lua` has just said */
  async find(redis: Redis | Cluster, current: Offset): Promise<Junction> {
    const { keys, tombstones, ring } = this.#options;
    const { newest, head } = ring;
    // Nothing was read yet: there is nothing to compare.
    if (newest === undefined && current.epoch === head.epoch) return { after: head.seq };
    const [same] = (await redis.xrange(keys.journal, `${head.seq}-0`, `${head.seq}-0`)) as RawEntry[];
    if (same !== undefined && parseEntry(same).id === newest?.id) return { after: newest.seq };
    if (same === undefined && newest !== undefined) {
      await tombstones.refresh(redis);
      if (tombstones.isStored(newest)) return { after: newest.seq };
    }

    const [oldest] = (await redis.xrange(keys.journal, '-', '+', 'COUNT', 1)) as RawEntry[];
    // Nothing there at all: whatever comes is above the number that Redis has just named.
    if (oldest === undefined && current.epoch !== head.epoch) {
      return { after: current.seq, ...(await this.#above(redis, current.epoch, head.seq)) };
    }
    const first = oldest === undefined ? undefined : parseEntry(oldest);
    if (same === undefined && first?.epoch === head.epoch && first.seq > head.seq) {
      const seq = tombstones.floor(first.seq) - 1;
      return { after: seq, gap: { epoch: first.epoch, seq } };
    }
    const after = Math.max(await this.#lastCommon(redis, head), tombstones.newestCommon());
    // What another history has under numbers of this one is read under a name of this pod's own: a name that others use
    // would promise that they have the same entries there.
    const rename = { dead: head.epoch, above: after, as: newEpoch() };
    if (current.epoch === head.epoch) {
      // The epoch is the old one and yet its tail is not what it was: a restart without a failover lost it.
      return { after, rename, ...(await this.#fork(redis, current.epoch, head.seq)) };
    }
    if (after > 0 || first === undefined) {
      return { after, rename, ...(await this.#above(redis, current.epoch, head.seq)) };
    }
    return this.#withoutCommon(redis, first);
  }

  /** Nothing in common: all that is there is new, but it may not be all that there was. */
  async #withoutCommon(redis: Redis | Cluster, first: JournalEntry): Promise<Junction> {
    const origin = Number((await redis.hget(this.#options.keys.meta, 'origin')) ?? 0);
    const before = { epoch: first.epoch, seq: first.seq - 1 };
    return { after: before.seq, lostSeen: 0, ...(before.seq > origin && { gap: before }) };
  }

  /**
   * Makes sure that the current epoch leaves out every number of the lost tail that this pod had read. Whoever began it may
   * have read less, and then those who missed the rest would get no gap.
   *
   * @param seen - newest number that this pod had read
   */
  async #above(redis: Redis | Cluster, epoch: string, seen: number): Promise<Above> {
    const start = Number((await redis.hget(this.#options.keys.meta, 'start')) ?? 0);
    // 0: numbering began again, and whoever has a number from before learns it from its epoch.
    if (start === 0) return { epoch, lostSeen: 0 };
    return start >= seen ? { epoch, lostSeen: seen } : this.#fork(redis, epoch, seen);
  }

  /** Begins a new epoch in place of another one, above what this pod had read. @returns the current one */
  async #fork(redis: Redis | Cluster, epoch: string, seen: number): Promise<Above> {
    const { meta, journal } = this.#options.keys;
    const fresh = newEpoch();
    const [forked, seq] = (await forkScript.run(redis, [meta, journal], [fresh, seen, epoch])) as [string, string];
    return forked === fresh ? { epoch: forked, lostSeen: Number(seq) } : this.#above(redis, forked, seen);
  }

  /** Position of the newest entry that Redis has and this pod has too; 0 if there is none. */
  async #lastCommon(redis: Redis | Cluster, newest: Offset): Promise<number> {
    const { keys, ring, named } = this.#options;
    const { base } = ring;
    let end = '+';
    for (;;) {
      const page = (await redis.xrevrange(keys.journal, end, '-', 'COUNT', SCAN_COUNT)) as RawEntry[];
      for (const raw of page) {
        const entry = named(parseEntry(raw));
        if (ring.get(entry)?.id === entry.id) return entry.seq;
        // Older than the ring: read in order before the break, or the pod would not have come to where it was.
        if (entry.epoch === base.epoch && entry.seq <= base.seq && entry.seq < newest.seq) return entry.seq;
      }
      const last = page.at(-1);
      if (last === undefined || page.length < SCAN_COUNT) return 0;
      end = `(${last[0]}`;
    }
  }
}
