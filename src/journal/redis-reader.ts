import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { type Offset, formatOffset, isHole } from '../contract/offset.js';
import type { JournalEntry, JournalListener, StatusEntry } from './journal.js';
import { newEpoch } from './epoch.js';
import { type RawEntry, parseEntry, parseStatuses } from './redis-entry.js';
import { RedisJunctions, type Rename } from './redis-junction.js';
import type { JournalKeys } from './redis-keys.js';
import { openScript } from './redis-scripts.js';
import { type RedisTombstones, isWhole, wholeEnd } from './redis-tombstones.js';
import type { Ring } from './ring.js';
import { READ_COUNT, readStreams } from './stream-read.js';

/** Who gets what the reader reads. */
export interface ReaderListener extends JournalListener {
  /**
   * Called once, when the reader has found its place in the journal.
   *
   * @param former - the place that this pod named before it knew any
   */
  onJoined(former: Offset, head: Offset, statuses: readonly StatusEntry[]): void;
}

/** How {@link RedisReader} is set up. */
export interface RedisReaderOptions {
  readonly keys: JournalKeys;
  /** Filled by the reader. */
  readonly ring: Ring;
  /** Filled by the reader too. */
  readonly tombstones: RedisTombstones;
  /** Entries that a fresh pod puts into the ring before it starts. */
  readonly preload: number;
  readonly listener: ReaderListener;
  /** Whether this pod has sent messages to Redis that it has no answer for yet. */
  readonly isAppending: () => boolean;
  readonly log: Logger;
}

/** Beyond it Redis hangs, or is so slow that another node may serve better. */
const LOCATE_LIMIT_MS = 10_000;
/** A turn of the loop that sends for longer than this is worth asking for what is about to come. */
const LONG_SEND_MS = 2;
/** How long the answer is waited for. */
const HOLD_MS = 10;

/** For all but the waiting read: without a limit a server that hangs in just that moment would hold the reader forever. */
function inTime<T>(work: Promise<T>): Promise<T> {
  return withTimeout(LOCATE_LIMIT_MS, 'looking for the place in the journal', work);
}

/**
 * Reads the journal into a pod's ring, in order, each entry once.
 *
 * Positions in the stream are numbers of entries, so after a break the reader knows where to go on. First it checks that
 * the newest entry it has is still there, unchanged: a failover can have lost it. If it is not, the reader goes back to
 * the last entry that both have ({@link RedisJunctions}), so that nothing appended since is skipped.
 */
export class RedisReader {
  readonly #options: RedisReaderOptions;
  readonly #ring: Ring;
  readonly #tombstones: RedisTombstones;
  readonly #keys: JournalKeys;
  readonly #junctions: RedisJunctions;
  #joined = false;
  /** Stream position of the newest entry read. */
  #position = 0;
  /** The current epoch when Redis was last asked. */
  #epoch = '';
  /** Epochs of which it is known that what follows in the stream follows on what the ring has. */
  readonly #accepted = new Set<string>();
  #rename: Rename | undefined;
  /** Newest number of a lost tail that this pod had read: a number left out up to there was not lost to it. */
  #lostSeen = 0;
  #redisHead = 0;
  /** The connection of the session that reads. */
  #reading: Redis | Cluster | undefined;
  /** How long the last turn of the loop with entries took to send them. */
  #lastSendMs = 0;
  /** When the reader last had all that was in the journal, on the clock of `performance.now()`. */
  #atEndMs = performance.now();

  constructor(options: RedisReaderOptions) {
    const { keys, ring, tombstones } = options;
    this.#options = options;
    this.#ring = ring;
    this.#tombstones = tombstones;
    this.#keys = keys;
    this.#junctions = new RedisJunctions({ keys, ring, tombstones, named: (entry) => this.named(entry) });
  }

  /** Entries that are in Redis and not yet read, as far as is known. */
  get lag(): number {
    return Math.max(0, this.#redisHead - this.#position);
  }

  /**
   * How late the reading is at most, in seconds: the time since the reader last had everything; 0 while it has. An answer
   * that Redis owes is late after some seconds ({@link readStreams}), and the reading counts as broken.
   */
  get lagSeconds(): number {
    return this.#reading !== undefined && this.lag === 0 ? 0 : (performance.now() - this.#atEndMs) / 1000;
  }

  /** Stream position of the newest entry read. */
  get position(): number {
    return this.#position;
  }

  /**
   * Reads until the connection fails.
   *
   * @param up - called when the reader has everything that was in the journal when it began
   */
  async session(redis: Redis | Cluster, up: () => void): Promise<void> {
    await inTime(this.#locate(redis));
    let goal: number | undefined = this.#redisHead;
    this.#reading = redis;
    try {
      for (;;) {
        if (this.lag === 0) this.#atEndMs = performance.now();
        if (goal !== undefined && this.#position >= goal) {
          up();
          goal = undefined;
        }
        if (this.#tombstones.isLarge) await inTime(this.#tombstones.reload(redis));
        // Nothing is in hand here: if the link breaks meanwhile, another session reads on, and this one fails at its next read.
        await this.#room();
        const raw = await this.#next(redis, this.#position, !this.#tombstones.follows(this.#position));
        if (raw.length > 0) await this.#together(redis, raw);
        let entries = this.#tombstones.fill(raw.map(parseEntry), this.#position);
        if (entries.length > 0 && !isWhole(entries, this.#position)) {
          // Before what is missing counts as trimmed: more may have been deleted than came with one answer.
          await inTime(this.#tombstones.refresh(redis));
          entries = this.#tombstones.fill(raw.map(parseEntry), this.#position);
        }
        if (entries.length === 0) {
          await inTime(this.#checkIdle(redis));
          continue;
        }
        const beginMs = performance.now();
        const unknown = await this.#take(redis, entries);
        if (unknown !== undefined) {
          await inTime(this.#locate(redis));
          this.#accepted.add(unknown);
        } else if (entries.length < READ_COUNT) {
          // What was published is sent at the end of this turn of the loop: asking for more first would delay it.
          await endOfTurn();
          this.#lastSendMs = performance.now() - beginMs;
        }
      }
    } finally {
      if (this.#reading === redis) this.#reading = undefined;
    }
  }

  /** Waits until the listener takes more. */
  async #room(): Promise<void> {
    const { listener } = this.#options;
    for (let room = listener.room?.(); room !== undefined; room = listener.room?.()) await room;
  }

  /**
   * Where sending takes long, adds to the entries what this pod has just appended. Sent in the next turn it would wait
   * for all clients to get these first, and by then the next would wait: each signal late by a whole fan-out.
   */
  async #together(redis: Redis | Cluster, entries: RawEntry[]): Promise<void> {
    const newest = entries.at(-1);
    if (this.#lastSendMs < LONG_SEND_MS || newest === undefined || entries.length >= READ_COUNT / 2) return;
    // Messages may be waiting on sockets whose turn comes only after this one's.
    await endOfTurn();
    // Asked without waiting: Redis ends short waits ten times a second, so `BLOCK 5` would hold a lone signal for up to 100 ms.
    if (!this.#options.isAppending()) return;
    // What is at hand does not wait for a Redis that stalls; an answer that comes later is asked for again.
    const more = this.#next(redis, parseEntry(newest).seq, false).catch(() => []);
    entries.push(...(await Promise.race([more, sleep(HOLD_MS, [])])));
  }

  /** What comes after an entry, waited for or not; deletions that came with it are taken first (docs/ordering.md). */
  async #next(redis: Redis | Cluster, entry: number, isWaiting: boolean): Promise<RawEntry[]> {
    const after = { entry, deletion: this.#tombstones.last };
    const { entries, deletions } = await readStreams(redis, { keys: this.#keys, after, isWaiting });
    this.#tombstones.take(deletions);
    return entries;
  }

  /** Checks the head of the journal while nothing comes; a journal that began again would stay silent otherwise. */
  async #checkIdle(redis: Redis | Cluster): Promise<void> {
    const [epoch, seq] = await redis.hmget(this.#keys.meta, 'epoch', 'seq');
    this.#redisHead = Number(seq ?? 0);
    if (epoch !== this.#epoch) await this.#locate(redis);
    else if (this.lag > 0) await this.#passNumbersWithoutEntries(redis, this.#redisHead);
  }

  /**
   * A new epoch starts above every number seen, and may leave out numbers below it: there is nothing to wait for there.
   *
   * @param head - number of the newest entry, as Redis named it before: what is appended later has a higher one
   */
  async #passNumbersWithoutEntries(redis: Redis | Cluster, head: number): Promise<void> {
    const [newest] = (await redis.xrevrange(this.#keys.journal, '+', '-', 'COUNT', 1)) as RawEntry[];
    const last = newest === undefined ? 0 : parseEntry(newest).seq;
    if (last > this.#position) return;
    // Deleted entries are not in the stream either, but their places count. Their epochs are older than the current one. There
    // may be more of them than came with one answer.
    await this.#tombstones.refresh(redis);
    const deleted = this.#tombstones.between(this.#position, head + 1);
    for (const { epoch } of deleted) this.#accepted.add(epoch);
    await this.#take(redis, deleted);
    this.#position = Math.max(this.#position, head);
  }

  /**
   * Passes entries on. The position, the ring and the listener change in the same turn of the loop, in this order
   * (docs/ordering.md).
   *
   * @returns the epoch at which it stopped, because it is not known yet whether that follows on what the ring has
   */
  async #take(redis: Redis | Cluster, entries: readonly JournalEntry[]): Promise<string | undefined> {
    for (const one of entries) {
      const entry = this.named(one);
      const { head } = this.#ring;
      if (entry.epoch !== head.epoch) {
        if (!this.#accepted.has(entry.epoch)) return entry.epoch;
        // Numbers that a new epoch leaves out were seen by somebody: entries that went down with the old one.
        if (isHole(head, entry) && entry.seq - 1 > this.#lostSeen)
          this.#options.listener.onGap('epoch', head, { epoch: entry.epoch, seq: entry.seq - 1 });
      } else if (entry.seq !== head.seq + 1) {
        // The journal is shorter than this reader is late: what is missing has been trimmed.
        if (entry.seq <= head.seq) throw new Error(`entry ${formatOffset(entry)} came after ${formatOffset(head)}`);
        this.#skipTo({ epoch: entry.epoch, seq: entry.seq - 1 });
      }
      this.#position = entry.seq;
      this.#ring.push(entry);
      this.#options.listener.onEntry(entry);
    }
    if (entries.length >= READ_COUNT) {
      this.#redisHead = Number((await inTime(redis.hget(this.#keys.meta, 'seq'))) ?? 0);
      if (this.lag > READ_COUNT * 10)
        this.#options.log.warn({ lag: this.lag }, 'this pod is behind in reading the journal');
    } else {
      this.#redisHead = this.#position;
    }
    return undefined;
  }

  /** An entry under the epoch by which this pod names it. */
  named(entry: JournalEntry): JournalEntry {
    const rename = this.#rename;
    if (rename === undefined || entry.epoch !== rename.dead || entry.seq <= rename.above) return entry;
    return { ...entry, epoch: rename.as };
  }

  #skipTo(base: Offset): void {
    const requested = this.#ring.head;
    this.#ring.reset(base);
    this.#options.log.error(
      { requested: formatOffset(requested), resumed: formatOffset(base) },
      'journal entries were trimmed before this pod read them; its clients are notified',
    );
    this.#options.listener.onGap('expired', requested, base);
  }

  /** Finds where to go on, after a start, a break or a new epoch; what it finds changes in one turn (docs/ordering.md). */
  async #locate(redis: Redis | Cluster): Promise<void> {
    await this.#tombstones.reload(redis);
    const floor = Math.max(this.#position, this.#ring.head.seq);
    const [epoch, seq] = (await openScript.run(redis, [this.#keys.meta, this.#keys.journal], [newEpoch(), floor])) as [
      string,
      string,
    ];
    this.#redisHead = Number(seq);
    if (!this.#joined) {
      await this.#join(redis, { epoch, seq: Number(seq) });
      return;
    }
    const junction = await this.#junctions.find(redis, { epoch, seq: Number(seq) });
    if (epoch !== this.#epoch) {
      this.#options.log.warn({ epoch, former: this.#epoch, after: junction.after }, 'the journal has a new epoch');
    }
    this.#position = junction.after;
    this.#rename = junction.rename ?? this.#rename;
    this.#epoch = junction.epoch ?? epoch;
    this.#lostSeen = junction.lostSeen ?? this.#lostSeen;
    this.#accepted.add(epoch).add(this.#epoch);
    if (junction.rename !== undefined) this.#accepted.add(junction.rename.as);
    if (junction.gap !== undefined) this.#skipTo(junction.gap);
    await this.#passNumbersWithoutEntries(redis, this.#redisHead);
  }

  /** A fresh pod starts at the end, with recent entries at hand for clients that come from other pods. */
  async #join(redis: Redis | Cluster, head: Offset): Promise<void> {
    const newest = (await redis.xrevrange(this.#keys.journal, '+', '-', 'COUNT', this.#options.preload)) as RawEntry[];
    // After the entries, so that it has all that is missing among them.
    await this.#tombstones.refresh(redis);
    const stored = newest.map(parseEntry).toReversed();
    const begin = this.#tombstones.floor(stored[0]?.seq ?? head.seq + 1) - 1;
    const entries = wholeEnd(this.#tombstones.fill(stored, begin));
    const [first] = entries;
    const former = this.#ring.head;
    this.#ring.reset(first === undefined ? head : { epoch: first.epoch, seq: first.seq - 1 });
    for (const entry of entries) this.#ring.push(entry);
    this.#position = entries.at(-1)?.seq ?? head.seq;
    this.#epoch = head.epoch;
    this.#accepted.add(head.epoch);
    this.#joined = true;
    this.#options.listener.onJoined(former, this.#ring.head, parseStatuses(await redis.hgetall(this.#keys.statuses)));
  }
}
