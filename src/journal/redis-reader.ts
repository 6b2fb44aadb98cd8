import { setImmediate as endOfTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { type Offset, formatOffset, isHole } from '../contract/offset.js';
import type { GapReason, JournalEntry, JournalListener, StatusEntry } from './journal.js';
import { LiveProof } from './live-proof.js';
import type { KeyCare } from '../redis/key-care.js';
import { faultOf } from '../redis/fault.js';
import { JOURNAL_MENDED, type RedisAppender } from './redis-appender.js';
import { type RawEntry, parseStatuses } from './redis-entry.js';
import { type Broken, type JournalEnd, RedisEpochs, type Seen, entriesAfter } from './redis-epochs.js';
import { type JournalKeys, lastingKeys } from './redis-keys.js';
import { type RedisTombstones, isWhole, wholeEnd } from './redis-tombstones.js';
import type { Ring } from './ring.js';
import { StoredEntries } from './stored-entries.js';
import { StreamPlace } from './stream-place.js';
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
  /** What this pod appends. */
  readonly appender: Pick<RedisAppender, 'isAppending' | 'newestAppended'>;
  readonly care: KeyCare;
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
 * Positions in the stream are numbers of entries, and numbers only grow, so after a break the reader goes on after the newest
 * entry that it has, whether Redis still has that or not. Where an epoch begins, its first entry says whether anything before
 * it is lost to this reader; and if this reader had read more than others, it has them told.
 */
export class RedisReader {
  readonly #options: RedisReaderOptions;
  readonly #ring: Ring;
  readonly #tombstones: RedisTombstones;
  readonly #keys: JournalKeys;
  readonly #epochs: RedisEpochs;
  readonly #stored: StoredEntries;
  readonly #place: StreamPlace;
  #joined = false;
  /** Whether the epoch had no entry when this pod joined it: until one is read, the pod has seen nothing. */
  #joinedBlank = false;
  /** Stream position up to which everything has been read. */
  #position = 0;
  /** The end of the journal when Redis was last asked, or when it was last reached. */
  #end: JournalEnd = { epoch: '', seq: 0, start: 0, before: 0, stored: 0 };
  /** Epochs whose first entry has been looked at: everybody is told who has to be. */
  readonly #met = new Set<string>();
  /** What this pod has had told, until it has read the entry that tells it: Redis can lose that too. */
  #owed: Broken | undefined;
  /** Whether this pod had read all there was until it last lost Redis. */
  #hadAll = true;
  /** Newest number that this pod had read before it went over to the last epoch that began without `lostUpTo`. */
  #readBefore = 0;
  /** While the reader reads: whether it is live. */
  #proof: LiveProof | undefined;
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
    this.#epochs = new RedisEpochs({ keys, ring, tombstones });
    this.#stored = new StoredEntries(keys.journal);
    this.#place = new StreamPlace(options.log);
  }

  /** Entries that are in Redis and not yet read, as far as is known. */
  get lag(): number {
    return entriesAfter(this.#position, this.#end);
  }

  /**
   * How late the reading is at most, in seconds: the time since the reader last had everything; 0 while it has. An answer
   * that Redis owes is late after some seconds ({@link readStreams}), and the reading counts as broken.
   */
  get lagSeconds(): number {
    return this.#proof !== undefined && this.lag === 0 ? 0 : (performance.now() - this.#atEndMs) / 1000;
  }

  /** Stream position up to which everything has been read. */
  get position(): number {
    return this.#position;
  }

  /** What this pod has seen in the journal. */
  get seen(): Seen {
    return { newest: this.#newestSeen(), hasAll: this.#proof === undefined ? this.#hadAll : this.#isLive };
  }

  /** The newest entry below a number that this pod has read, or has appended; 0 for none. */
  #newestSeen(before = Infinity): Offset {
    const { newest, head } = this.#ring;
    const appended = this.#options.appender.newestAppended(before);
    const hasRead = this.#joined && (newest !== undefined || !this.#joinedBlank);
    return hasRead && head.seq > appended.seq ? head : appended;
  }

  get #isLive(): boolean {
    return this.lag === 0 && this.#proof?.holds === true;
  }

  /**
   * Reads until the connection fails.
   *
   * @param up - called when the reader has everything that was in the journal when it began
   */
  async session(redis: Redis | Cluster, up: () => void): Promise<void> {
    await inTime(this.#locate(redis));
    const { seq, start, before } = this.#end;
    let goal: number | undefined = seq === start ? before : seq;
    const proof = new LiveProof();
    this.#proof = proof;
    try {
      for (;;) {
        if (this.lag === 0) {
          this.#atEndMs = performance.now();
          this.#hadAll = true;
        }
        if (goal !== undefined && this.#position >= goal) {
          up();
          goal = undefined;
        }
        // Nothing is in hand here: if the link breaks meanwhile, another session reads on, and this one fails at its next read.
        const { listener } = this.#options;
        for (let room = listener.room?.(); room !== undefined; room = listener.room?.()) await room;
        await this.#step(redis).catch((error: unknown) => this.#replaced(redis, error));
      }
    } finally {
      proof.end();
      // A session that ends late, since it waited for room, is not the one that reads now.
      if (this.#proof === proof) {
        this.#hadAll &&= this.#isLive;
        this.#proof = undefined;
      }
    }
  }

  /** Where a key was replaced by something else, that is set aside, and the place in the journal found again. */
  async #replaced(redis: Redis | Cluster, error: unknown): Promise<void> {
    if (faultOf(error).code !== 'wrong_type') throw error;
    await inTime(this.#locate(redis));
  }

  /** Reads what comes next, and passes it on. */
  async #step(redis: Redis | Cluster): Promise<void> {
    if (this.#tombstones.isLarge) await inTime(this.#tombstones.reload(redis));
    const isWaiting = !this.#tombstones.follows(this.#position);
    const raw = await this.#next(redis, this.#place.after(this.#position), isWaiting);
    if (raw.length > 0) await this.#together(redis, raw);
    const own = await this.#place.own(raw, this.#end.seq, () => inTime(this.#epochs.newest(redis)));
    let entries = this.#tombstones.fill(own, this.#position);
    if (entries.length > 0 && !isWhole(entries, this.#position)) {
      // Before what is missing counts as lost: more may have been deleted than came with one answer.
      await inTime(this.#tombstones.refresh(redis));
      entries = this.#tombstones.fill(own, this.#position);
    }
    const passed = raw.at(-1)?.[0];
    if (entries.length === 0) {
      this.#place.passed(passed);
      // What came was foreign: more of it may be in the way of the next entry.
      if (raw.length === 0) await inTime(this.#checkIdle(redis));
      return;
    }
    const beginMs = performance.now();
    const first = await this.#take(redis, entries);
    if (first !== undefined) return inTime(this.#meet(redis, first));
    this.#place.passed(passed);
    if (entries.length < READ_COUNT) {
      // What was published is sent at the end of this turn of the loop: asking for more first would delay it.
      await endOfTurn();
      this.#lastSendMs = performance.now() - beginMs;
    }
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
    if (!this.#options.appender.isAppending) return;
    // What is at hand does not wait for a Redis that stalls; an answer that comes later is asked for again.
    const more = this.#next(redis, newest[0], false).catch(() => []);
    entries.push(...(await Promise.race([more, sleep(HOLD_MS, [])])));
  }

  /** What comes after an entry, waited for or not; deletions that came with it are taken first (docs/ordering.md). */
  async #next(redis: Redis | Cluster, entry: string, isWaiting: boolean): Promise<RawEntry[]> {
    const after = { entry, deletion: this.#tombstones.last };
    const read = readStreams(redis, { keys: this.#keys, after, isWaiting });
    const { entries, deletions } = await (isWaiting && this.#proof ? this.#proof.note(read) : read);
    this.#tombstones.take(deletions);
    return entries;
  }

  /** Checks the end of the journal while nothing comes; a journal that began again would stay silent otherwise. */
  async #checkIdle(redis: Redis | Cluster): Promise<void> {
    if (this.#tombstones.isAhead) await this.#tombstones.reload(redis);
    const end = await this.#epochs.look(redis);
    if (end?.epoch !== this.#end.epoch) {
      await this.#locate(redis);
      return;
    }
    this.#end = end;
    const first = await this.#passNumbersWithoutEntries(redis);
    if (first !== undefined) await this.#meet(redis, first);
  }

  /**
   * Deleted entries are not in the stream, but their places count; and a new epoch starts above every number seen. There is
   * nothing to wait for there.
   *
   * @returns as {@link #take}
   */
  async #passNumbersWithoutEntries(redis: Redis | Cluster): Promise<JournalEntry | undefined> {
    // Asked for before what follows: what is appended later has a higher number.
    const { seq } = this.#end;
    if (this.#position >= seq) return undefined;
    const newest = await this.#stored.newest(redis);
    if (newest !== undefined && newest.seq > this.#position) {
      this.#place.goBack();
      return undefined;
    }
    // There may be more of them than came with one answer.
    await this.#tombstones.refresh(redis);
    const first = await this.#take(redis, this.#tombstones.between(this.#position, seq + 1));
    if (first === undefined) this.#position = Math.max(this.#position, seq);
    return first;
  }

  /**
   * Passes entries on. The position, the ring and the listener change in the same turn of the loop, in this order
   * (docs/ordering.md).
   *
   * @returns the entry at which it stopped: the first that it gets of an epoch that {@link #meet} has to look at
   */
  async #take(redis: Redis | Cluster, entries: readonly JournalEntry[]): Promise<JournalEntry | undefined> {
    for (const entry of entries) {
      const { head } = this.#ring;
      if (this.#place.isPast(entry)) continue;
      if (entry.epoch !== head.epoch && !this.#met.has(entry.epoch)) return entry;
      this.#announceHole(head, entry);
      if (entry.epoch !== head.epoch) this.#place.leave(head.epoch);
      this.#position = entry.seq;
      this.#ring.push(entry);
      this.#options.listener.onEntry(entry);
    }
    if (entries.length >= READ_COUNT) {
      this.#end = (await inTime(this.#epochs.look(redis))) ?? this.#end;
      const { lag } = this;
      if (lag > READ_COUNT * 10) this.#options.log.warn({ lag }, 'this pod is behind in reading the journal');
    } else if (entries.length > 0) {
      this.#end = { ...this.#end, seq: Math.max(this.#position, this.#end.start) };
    }
    return undefined;
  }

  /** Notifies the listener of what is lost to it between its place and the next entry. */
  #announceHole(head: Offset, entry: JournalEntry): void {
    if (entry.seq <= head.seq) throw new Error(`entry ${formatOffset(entry)} came after ${formatOffset(head)}`);
    if (isHole(head, entry)) {
      const before = { epoch: entry.epoch, seq: entry.seq - 1 };
      // In an epoch, or with its first entry gone too: the journal is shorter than this reader is late.
      if (entry.unbrokenFrom === undefined) this.#skipTo('expired', before);
      // Others have lost something; this pod had read that.
      else if (entry.lostUpTo === undefined || entry.lostUpTo > this.#readBefore)
        this.#options.listener.onGap('epoch', head, before);
    }
    if (entry.epoch !== head.epoch && entry.lostUpTo === undefined) this.#readBefore = head.seq;
    // Nobody has as much as that, so everybody is told.
    if (entry.unbrokenFrom === entry.seq - 1) this.#owed = undefined;
  }

  /**
   * Looks at the first entry that it gets of an epoch. If this pod had seen more than what the epoch follows on, others have
   * gone on without that, and everybody has to be told. So too if nobody can say any more what was known of this pod's newest
   * entry: Redis has lost that, and an epoch that came between as well.
   */
  async #meet(redis: Redis | Cluster, { epoch, seq, unbrokenFrom, unbrokenEpoch }: JournalEntry): Promise<void> {
    if (epoch !== this.#end.epoch) await this.#locate(redis);
    // An epoch begins with an entry that says what was before, or it is the current one.
    if (epoch !== this.#end.epoch && unbrokenFrom === undefined) {
      this.#place.leave(epoch);
      return;
    }
    const { start } = this.#end;
    const follows = unbrokenFrom ?? (epoch === this.#end.epoch ? Math.min(start, seq - 1) : seq - 1);
    const newest = this.#newestSeen(seq);
    const isMore = newest.seq > follows;
    const isTold = unbrokenFrom === undefined || unbrokenFrom === seq - 1;
    const mayBeMore = newest.seq > 0 && !isTold && newest.epoch !== unbrokenEpoch;
    if (epoch !== this.#ring.head.epoch && (isMore || (mayBeMore && !(await this.#epochs.has(redis, newest))))) {
      this.#owed = { epoch, lost: isMore && this.#hadAll ? newest.seq : 0 };
      await this.#epochs.tell(redis, this.#owed);
    }
    this.#met.add(epoch);
  }

  #skipTo(reason: GapReason, base: Offset): void {
    const requested = this.#ring.head;
    this.#ring.reset(base);
    this.#options.log.error(
      { reason, requested: formatOffset(requested), resumed: formatOffset(base) },
      'journal entries are lost to this pod; its clients are notified',
    );
    this.#options.listener.onGap(reason, requested, base);
  }

  /** Finds where to go on, after a start, a break or a new epoch; what it finds changes in one turn (docs/ordering.md). */
  async #locate(redis: Redis | Cluster): Promise<void> {
    await this.#options.care.check(redis, lastingKeys(this.#keys));
    await this.#tombstones.reload(redis);
    this.#place.goBack();
    let end = await this.#epochs.open(redis, { ...this.seen, hasAll: this.#hadAll });
    if (end.done) this.#options.log.warn({ epoch: end.epoch, done: end.done }, JOURNAL_MENDED);
    if (!this.#joined) {
      this.#end = end;
      await this.#join(redis, end);
      return;
    }
    const stranger = await this.#epochs.stranger(redis);
    // Its numbers are those of what this pod has read: nobody can tell what else was given twice.
    if (stranger !== undefined) this.#owed = { epoch: stranger.epoch, lost: 0 };
    if (this.#owed !== undefined) end = await this.#epochs.tell(redis, this.#owed);
    if (end.epoch !== this.#end.epoch) {
      this.#options.log.warn({ epoch: end.epoch, former: this.#end.epoch }, 'the journal has a new epoch');
    }
    this.#end = end;
    if (stranger !== undefined) {
      this.#met.add(end.epoch);
      this.#skipTo('epoch', { epoch: end.epoch, seq: end.start });
    }
    this.#position = this.#ring.head.seq;
    await this.#passNumbersWithoutEntries(redis);
  }

  /** A fresh pod starts at the end, with recent entries at hand for clients that come from other pods. */
  async #join(redis: Redis | Cluster, { epoch, seq, start: blank }: JournalEnd): Promise<void> {
    const head = { epoch, seq };
    const newest = await this.#stored.backward(redis, this.#options.preload);
    // After the entries, so that it has all that is missing among them.
    await this.#tombstones.refresh(redis);
    const stored = newest.toReversed();
    const begin = this.#tombstones.floor(stored[0]?.seq ?? head.seq + 1) - 1;
    const entries = wholeEnd(this.#tombstones.fill(stored, begin));
    const [first] = entries;
    const former = this.#ring.head;
    this.#ring.reset(first === undefined ? head : { epoch: first.epoch, seq: first.seq - 1 });
    for (const entry of entries) this.#ring.push(entry);
    this.#position = this.#ring.head.seq;
    this.#joinedBlank = seq === blank;
    this.#joined = true;
    this.#options.listener.onJoined(former, this.#ring.head, parseStatuses(await redis.hgetall(this.#keys.statuses)));
  }
}
