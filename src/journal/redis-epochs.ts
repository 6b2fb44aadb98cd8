import type { Cluster, Redis } from 'ioredis';
import { type Offset, formatOffset } from '../contract/offset.js';
import { newEpoch } from './epoch.js';
import type { JournalEntry } from './journal.js';
import type { JournalKeys } from './redis-keys.js';
import { forkScript, openScript } from './redis-scripts.js';
import type { RedisTombstones } from './redis-tombstones.js';
import type { Ring } from './ring.js';
import { StoredEntries } from './stored-entries.js';

/** What a pod has seen in the journal, as the scripts want to know it. */
export interface Seen {
  /** The newest entry that it has read or appended; 0 for none. */
  readonly newest: Offset;
  /** Whether nobody can have seen more: it was reading live until it lost Redis. */
  readonly hasAll: boolean;
}

/** The end of the journal in Redis. */
export interface JournalEnd {
  /** The current epoch. */
  readonly epoch: string;
  /** Number of the newest entry; {@link start} while the epoch has none. */
  readonly seq: number;
  /** Number after which the epoch started. */
  readonly start: number;
  /** Number of the newest entry before it. */
  readonly before: number;
  /** Entries in Redis. */
  readonly stored: number;
  /** What was done to the stream so that it takes entries again, in words; empty for nothing. */
  readonly done?: string | undefined;
}

/** What {@link RedisEpochs.tell} is to tell. */
export interface Broken {
  /** The epoch that others have read as if nothing were lost before it. */
  readonly epoch: string;
  /** Newest number that this pod has and others have lost; 0 if this pod may have lost something itself. */
  readonly lost: number;
}

/** How {@link RedisEpochs} is set up. */
export interface RedisEpochsOptions {
  readonly keys: JournalKeys;
  /** What this pod has read. */
  readonly ring: Ring;
  readonly tombstones: RedisTombstones;
}

/** What `open.lua` and `fork.lua` answer. */
type Answer = [epoch: string, seq: string, start: string, before: string, stored: number, done?: string];

function journalEnd([epoch, seq, start, before, stored, done]: Answer): JournalEnd {
  return { epoch, seq: Number(seq), start: Number(start), before: Number(before), stored, done };
}

/**
 * Entries after a place. Numbers jump from one epoch to the next, so what lies before the current one is counted by the
 * numbers of the one before, and is not more than there is.
 */
export function entriesAfter(seq: number, end: JournalEnd): number {
  if (seq >= end.start) return Math.max(0, end.seq - seq);
  return Math.max(0, end.seq - end.start) + Math.min(Math.max(0, end.before - seq), end.stored);
}

/** No gateway gives a higher number within fifty years, in µs; `own.lua` has the same. */
const HORIZON_US = 1_600_000_000_000_000;

/** Whether no gateway can have reached a number; open.lua begins a new epoch then. */
function isSetByHand(seq: number): boolean {
  return !(seq <= Date.now() * 1000 + HORIZON_US);
}

/** Begins epochs of the journal in Redis where one is due, and compares what is there with what this pod has read. */
export class RedisEpochs {
  readonly #options: RedisEpochsOptions;
  readonly #stored: StoredEntries;

  constructor(options: RedisEpochsOptions) {
    this.#options = options;
    this.#stored = new StoredEntries(options.keys.journal);
  }

  /** Finds the end of the journal, after beginning a new epoch if Redis may have lost something. */
  async open(redis: Redis | Cluster, seen: Seen): Promise<JournalEnd> {
    const { meta, journal } = this.#options.keys;
    const args = [newEpoch(), formatOffset(seen.newest), seen.hasAll ? '1' : '0'];
    return journalEnd((await openScript.run(redis, [meta, journal], args)) as Answer);
  }

  /** Number of the newest entry, as it stands; 0 where there is no journal. */
  async newest(redis: Redis | Cluster): Promise<number> {
    return (await this.look(redis))?.seq ?? 0;
  }

  /** The end of the journal as it stands; `undefined` if there is no journal any more, or its hash makes no sense. */
  async look(redis: Redis | Cluster): Promise<JournalEnd | undefined> {
    const { meta, journal } = this.#options.keys;
    const [epoch, seq, start, before] = await redis.hmget(meta, 'epoch', 'seq', 'start', 'before');
    const stored = await redis.xlen(journal);
    const end = journalEnd([epoch ?? '', seq ?? '', start ?? '0', before ?? '0', stored]);
    // `open` begins another.
    return epoch && seq && end.seq >= end.start && end.before >= 0 && !isSetByHand(end.seq) ? end : undefined;
  }

  /** Has everybody told who has gone on over a loss without knowing. @returns the end of the journal then */
  async tell(redis: Redis | Cluster, { epoch, lost }: Broken): Promise<JournalEnd> {
    const { meta, journal } = this.#options.keys;
    return journalEnd((await forkScript.run(redis, [meta, journal], [newEpoch(), lost, epoch])) as Answer);
  }

  /** Whether an entry is still in Redis, deleted or not. */
  async has(redis: Redis | Cluster, { epoch, seq }: Offset): Promise<boolean> {
    const [entry] = await this.#stored.between(redis, seq, seq);
    return entry?.epoch === epoch || this.#options.tombstones.isStored({ epoch, seq });
  }

  /**
   * The newest entry up to this pod's place, if it is one that this pod has never read. Numbers are not given twice, so there
   * is none, unless the clock of Redis went backwards while it lost its data, somebody restored an old copy, or a gateway of
   * version 0.1 came first to a Redis that had lost entries.
   */
  async stranger(redis: Redis | Cluster): Promise<JournalEntry | undefined> {
    const { ring } = this.#options;
    const entry = await this.#stored.newest(redis, ring.head.seq);
    if (entry === undefined || entry.seq <= ring.base.seq || ring.get(entry)?.id === entry.id) return undefined;
    return entry;
  }
}
