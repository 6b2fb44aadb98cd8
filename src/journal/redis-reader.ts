import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { type Offset, formatOffset, isHole } from '../contract/offset.js';
import type { JournalEntry, JournalListener, StatusEntry } from './journal.js';
import { newEpoch } from './epoch.js';
import { type RawEntry, parseEntry, parseStatuses } from './redis-entry.js';
import type { JournalKeys } from './redis-keys.js';
import { forkScript, openScript } from './redis-scripts.js';
import { type RedisTombstones, isWhole, wholeEnd } from './redis-tombstones.js';
import type { Ring } from './ring.js';
import { READ_COUNT, type StreamAnswer, readStreams } from './stream-read.js';

/** A connection that the reader has for itself. */
export type ReaderConnection = Redis | Cluster;

/** Whom the reader tells. */
export interface ReaderListener extends JournalListener {
  /**
   * Told once, when the reader has found its place in the journal.
   *
   * @param former - the place that this pod named before it knew any
   */
  onJoined(former: Offset, head: Offset, statuses: readonly StatusEntry[]): void;
}

/** Beyond it Redis hangs, or is so slow that another node may serve better. */
const LOCATE_LIMIT_MS = 10_000;
/** A turn of the loop that sends for longer than this is worth asking for what is about to come. */
const LONG_SEND_MS = 2;
/** The answer is waited for this long, ms. */
const HOLD_MS = 10;
const SCAN_COUNT = 500;

/** For all but the waiting read: without a limit a server that hangs in just that moment would hold the reader for ever. */
function inTime<T>(work: Promise<T>): Promise<T> {
  return withTimeout(LOCATE_LIMIT_MS, 'looking for the place in the journal', work);
}

/** Where the reader goes on, after it has compared what it has with what Redis has. */
interface Junction {
  /** Reading goes on after this stream position. */
  readonly after: number;
  /** Entries of this epoch above this position are another history and are read under a new name. */
  readonly rename?: { readonly dead: string; readonly above: number; readonly as: string };
  /** The epoch in force, where it is another than was named before. */
  readonly epoch?: string;
  /** Entries before this place are lost to the reader. */
  readonly gap?: Offset;
}

/**
 * Reads the journal into a pod's ring, in order, each entry once.
 *
 * Positions in the stream are numbers of entries, so after a break the reader knows where to go on. First it checks that
 * the newest entry it has is still there, unchanged: a failover can have lost it. If it is not, the reader goes back to
 * the last entry that both have, so that nothing appended since is skipped.
 */
export class RedisReader {
  readonly #keys: JournalKeys;
  readonly #ring: Ring;
  readonly #tombstones: RedisTombstones;
  readonly #preload: number;
  readonly #listener: ReaderListener;
  readonly #log: Logger;
  #joined = false;
  /** Stream position of the newest entry read. */
  #position = 0;
  /** The epoch in force when Redis was last asked. */
  #epoch = '';
  /** Epochs of which it is known that what follows in the stream follows on what the ring has. */
  readonly #accepted = new Set<string>();
  #rename: Junction['rename'];
  /** Newest number of a lost tail that this pod had read: one that is left out up to there was not lost to it. */
  #lostSeen = 0;
  #redisHead = 0;
  #isReading = false;
  readonly #isAppending: () => boolean;
  /** How long the last turn of the loop with entries took to send them, ms. */
  #lastSendMs = 0;
  /** When the reader last had all that was in the journal. */
  #atEnd = performance.now();

  /**
   * @param ring - filled by the reader
   * @param tombstones - filled by the reader too
   * @param preload - entries a fresh pod puts into the ring before it starts
   * @param isAppending - whether this pod has sent messages to Redis that it has no answer for yet
   */
  constructor(
    keys: JournalKeys,
    ring: Ring,
    tombstones: RedisTombstones,
    preload: number,
    listener: ReaderListener,
    isAppending: () => boolean,
    log: Logger,
  ) {
    this.#keys = keys;
    this.#ring = ring;
    this.#tombstones = tombstones;
    this.#preload = preload;
    this.#listener = listener;
    this.#isAppending = isAppending;
    this.#log = log;
  }

  /** Entries that are in Redis and not yet read, when last looked at. */
  get lag(): number {
    return Math.max(0, this.#redisHead - this.#position);
  }

  /**
   * How late the reading is at most, in seconds: the time since the reader last had everything; 0 while it has. An answer
   * that Redis owes is late after some seconds ({@link readStreams}), and the reading counts as broken.
   */
  get lagSeconds(): number {
    return this.#isReading && this.lag === 0 ? 0 : (performance.now() - this.#atEnd) / 1000;
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
  async session(redis: ReaderConnection, up: () => void): Promise<void> {
    await inTime(this.#locate(redis));
    let goal: number | undefined = this.#redisHead;
    this.#isReading = true;
    try {
      for (;;) {
        if (this.lag === 0) this.#atEnd = performance.now();
        if (goal !== undefined && this.#position >= goal) {
          up();
          goal = undefined;
        }
        if (this.#tombstones.isLarge) await inTime(this.#tombstones.reload(redis));
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
        const begin = performance.now();
        const unknown = await this.#take(redis, entries);
        if (unknown !== undefined) {
          await inTime(this.#locate(redis));
          this.#accepted.add(unknown);
        } else if (entries.length < READ_COUNT) {
          // What was published is sent at the end of this turn of the loop: asking for more first would hold it up.
          await endOfTurn();
          this.#lastSendMs = performance.now() - begin;
        }
      }
    } finally {
      this.#isReading = false;
    }
  }

  /**
   * Where sending takes long, adds to the entries what this pod has just appended. Sent in the next turn it would wait
   * for all clients to get these first, and by then the next would wait: each signal late by a whole fan-out.
   */
  async #together(redis: ReaderConnection, entries: RawEntry[]): Promise<void> {
    const newest = entries.at(-1);
    if (this.#lastSendMs < LONG_SEND_MS || newest === undefined || entries.length >= READ_COUNT / 2) return;
    // Messages may be waiting on sockets whose turn comes only after this one's.
    await endOfTurn();
    // Asked without waiting: Redis ends short waits ten times a second, so `BLOCK 5` would hold a lone signal for up to 100 ms.
    if (!this.#isAppending()) return;
    // What is at hand does not wait for a Redis that stalls; an answer that comes later is asked for again.
    const more = this.#next(redis, parseEntry(newest).seq, false).catch(() => []);
    entries.push(...(await Promise.race([more, sleep(HOLD_MS, [])])));
  }

  /** What comes after a stream position, waited for or not; deletions that came with it are taken at once. */
  async #next(redis: ReaderConnection, after: number, wait: boolean): Promise<RawEntry[]> {
    const place = { entry: after, deletion: this.#tombstones.last };
    const { entries, deletions }: StreamAnswer = await readStreams(redis, this.#keys, place, wait);
    this.#tombstones.take(deletions);
    return entries;
  }

  /** Looks at the head of the journal while nothing comes; a journal that began anew would stay silent otherwise. */
  async #checkIdle(redis: ReaderConnection): Promise<void> {
    const [epoch, seq] = await redis.hmget(this.#keys.meta, 'epoch', 'seq');
    this.#redisHead = Number(seq ?? 0);
    if (epoch !== this.#epoch) await this.#locate(redis);
    else if (this.lag > 0) await this.#passNumbersWithoutEntries(redis, this.#redisHead);
  }

  /**
   * A new epoch starts above every number seen, and may leave numbers out below it: there is nothing to wait for there.
   *
   * @param head - number of the newest entry, as Redis named it before: what is appended later has a higher one
   */
  async #passNumbersWithoutEntries(redis: ReaderConnection, head: number): Promise<void> {
    const [newest] = (await redis.xrevrange(this.#keys.journal, '+', '-', 'COUNT', 1)) as RawEntry[];
    const last = newest === undefined ? 0 : parseEntry(newest).seq;
    if (last > this.#position) return;
    // Those that were deleted have no entry either, and are not nothing. Their epochs are older than the one in force. There
    // may be more of them than came with one answer.
    await this.#tombstones.refresh(redis);
    const deleted = this.#tombstones.between(this.#position, head + 1);
    for (const { epoch } of deleted) this.#accepted.add(epoch);
    await this.#take(redis, deleted);
    this.#position = Math.max(this.#position, head);
  }

  /**
   * Passes entries on.
   *
   * @returns the epoch at which it stopped, because it is not known yet whether that follows on what the ring has
   */
  async #take(redis: ReaderConnection, entries: readonly JournalEntry[]): Promise<string | undefined> {
    for (const one of entries) {
      const entry = this.named(one);
      const { head } = this.#ring;
      if (entry.epoch !== head.epoch) {
        if (!this.#accepted.has(entry.epoch)) return entry.epoch;
        // Numbers that a new epoch leaves out were seen by somebody: entries that went down with the old one.
        if (isHole(head, entry) && entry.seq - 1 > this.#lostSeen)
          this.#listener.onGap('epoch', head, { epoch: entry.epoch, seq: entry.seq - 1 });
      } else if (entry.seq !== head.seq + 1) {
        // The journal is shorter than this reader is late: what is missing has been trimmed.
        if (entry.seq <= head.seq) throw new Error(`entry ${formatOffset(entry)} came after ${formatOffset(head)}`);
        this.#skipTo({ epoch: entry.epoch, seq: entry.seq - 1 });
      }
      this.#position = entry.seq;
      this.#ring.push(entry);
      this.#listener.onEntry(entry);
    }
    if (entries.length >= READ_COUNT) {
      this.#redisHead = Number((await inTime(redis.hget(this.#keys.meta, 'seq'))) ?? 0);
      if (this.lag > READ_COUNT * 10) this.#log.warn({ lag: this.lag }, 'reading of the journal is behind');
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
    this.#log.error(
      { requested: formatOffset(requested), resumed: formatOffset(base) },
      'entries of the journal were trimmed before this pod read them; its clients are told',
    );
    this.#listener.onGap('expired', requested, base);
  }

  /** Finds where to go on, after a start, a break or a new epoch. */
  async #locate(redis: ReaderConnection): Promise<void> {
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
    const junction = await this.#junction(redis, { epoch, seq: Number(seq) });
    if (epoch !== this.#epoch) {
      this.#log.warn({ epoch, former: this.#epoch, after: junction.after }, 'the journal has a new epoch');
    }
    this.#position = junction.after;
    this.#rename = junction.rename ?? this.#rename;
    this.#epoch = junction.epoch ?? epoch;
    this.#accepted.add(epoch).add(this.#epoch);
    if (junction.rename !== undefined) this.#accepted.add(junction.rename.as);
    if (junction.gap !== undefined) this.#skipTo(junction.gap);
    await this.#passNumbersWithoutEntries(redis, this.#redisHead);
  }

  /** A fresh pod starts at the end, with recent entries at hand for clients that come from other pods. */
  async #join(redis: ReaderConnection, head: Offset): Promise<void> {
    const newest = (await redis.xrevrange(this.#keys.journal, '+', '-', 'COUNT', this.#preload)) as RawEntry[];
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
    this.#listener.onJoined(former, this.#ring.head, parseStatuses(await redis.hgetall(this.#keys.statuses)));
  }

  async #junction(redis: ReaderConnection, current: Offset): Promise<Junction> {
    const { newest, head } = this.#ring;
    // Nothing was read yet: there is nothing to compare.
    if (newest === undefined && current.epoch === head.epoch) return { after: head.seq };
    const { journal } = this.#keys;
    const [same] = (await redis.xrange(journal, `${head.seq}-0`, `${head.seq}-0`)) as RawEntry[];
    if (same !== undefined && parseEntry(same).id === newest?.id) return { after: newest.seq };
    if (same === undefined && newest !== undefined) {
      await this.#tombstones.refresh(redis);
      if (this.#tombstones.isStored(newest)) return { after: newest.seq };
    }

    const [oldest] = (await redis.xrange(journal, '-', '+', 'COUNT', 1)) as RawEntry[];
    // Nothing there at all: whatever comes is above the number that Redis has just named.
    if (oldest === undefined && current.epoch !== head.epoch) {
      return { after: current.seq, epoch: await this.#above(redis, current.epoch, head.seq) };
    }
    const first = oldest === undefined ? undefined : parseEntry(oldest);
    if (same === undefined && first?.epoch === head.epoch && first.seq > head.seq) {
      const seq = this.#tombstones.floor(first.seq) - 1;
      return { after: seq, gap: { epoch: first.epoch, seq } };
    }
    const after = Math.max(await this.#lastCommon(redis, head), this.#tombstones.newestCommon());
    // What another history has under numbers of this one is read under a name of this pod's own: a name that others use
    // would promise that they have the same entries there.
    const rename = { dead: head.epoch, above: after, as: newEpoch() };
    if (current.epoch !== head.epoch) {
      if (after > 0 || first === undefined) {
        return { after, rename, epoch: await this.#above(redis, current.epoch, head.seq) };
      }
      // Nothing in common: all that is there is new, but it may not be all that there was.
      this.#lostSeen = 0;
      const origin = Number((await redis.hget(this.#keys.meta, 'origin')) ?? 0);
      const before = { epoch: first.epoch, seq: first.seq - 1 };
      return before.seq > origin ? { after: before.seq, gap: before } : { after: before.seq };
    }
    // The epoch is the old one and yet its tail is not what it was: a restart without a failover lost it.
    return { after, rename, epoch: await this.#fork(redis, current.epoch, head.seq) };
  }

  /**
   * Sees to it that the epoch in force leaves out every number of the lost tail that this pod had read. Whoever began it may
   * have read less, and then those who missed the rest would not be told.
   *
   * @param seen - newest number that this pod had read
   */
  async #above(redis: ReaderConnection, epoch: string, seen: number): Promise<string> {
    const start = Number((await redis.hget(this.#keys.meta, 'start')) ?? 0);
    // 0: all numbers are given anew, and who has one of before is told by its epoch.
    this.#lostSeen = start === 0 ? 0 : seen;
    return start === 0 || start >= seen ? epoch : this.#fork(redis, epoch, seen);
  }

  /** Begins a new epoch in place of another one, above what this pod had read. @returns the one in force */
  async #fork(redis: ReaderConnection, epoch: string, seen: number): Promise<string> {
    const { meta, journal } = this.#keys;
    const fresh = newEpoch();
    const [forked, seq] = (await forkScript.run(redis, [meta, journal], [fresh, seen, epoch])) as [string, string];
    if (forked !== fresh) return this.#above(redis, forked, seen);
    this.#lostSeen = Number(seq);
    return forked;
  }

  /** Position of the newest entry that Redis has and this pod has too; 0 if there is none. */
  async #lastCommon(redis: ReaderConnection, newest: Offset): Promise<number> {
    const { base } = this.#ring;
    let end = '+';
    for (;;) {
      const page = (await redis.xrevrange(this.#keys.journal, end, '-', 'COUNT', SCAN_COUNT)) as RawEntry[];
      for (const raw of page) {
        const entry = this.named(parseEntry(raw));
        if (this.#ring.get(entry)?.id === entry.id) return entry.seq;
        // Older than the ring: read in order before the break, or the pod would not have come to where it was.
        if (entry.epoch === base.epoch && entry.seq <= base.seq && entry.seq < newest.seq) return entry.seq;
      }
      const last = page.at(-1);
      if (last === undefined || page.length < SCAN_COUNT) return 0;
      end = `(${last[0]}`;
    }
  }
}
