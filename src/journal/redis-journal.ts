import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { FeedMessage } from '../contract/decode.js';
import type { LeaseAnswer, LeaseRequest } from './lease.js';
import type { Offset } from '../contract/offset.js';
import { randomName } from '../random-name.js';
import {
  AppendError,
  type AppendedIdempotent,
  type Deleted,
  type DeletingJournal,
  IDEMPOTENCY_MS,
  type IdempotencyKey,
  type Journal,
  type JournalEntry,
  type IdempotentJournal,
  type Resolution,
} from './journal.js';
import { newEpoch } from './epoch.js';
import { type JournalKeys, journalKeys } from './redis-keys.js';
import { RedisPages } from './redis-pages.js';
import { type ReaderListener, RedisReader } from './redis-reader.js';
import { appendScript, clockScript, leaseScript, releaseScript } from './redis-scripts.js';
import { RedisTombstones } from './redis-tombstones.js';
import { Ring } from './ring.js';

/** A message with the random id that its entry will carry. */
export interface NamedMessage {
  readonly id: string;
  readonly message: FeedMessage;
}

/** Proof that the caller is the one that bridges Pub/Sub. */
export interface Fence {
  /** The lease's token. */
  readonly token: string;
  /** Number of this batch under the token; one that was appended before is not appended again. */
  readonly batch: number;
}

/** What came of a fenced append. */
export type FencedResult = 'appended' | 'fenced' | 'late';

/** How the journal is set up. */
export interface RedisJournalOptions {
  /** A connection that fails at once while its link is down. */
  readonly commands: Redis | Cluster;
  readonly keyPrefix: string;
  /** A name that no other process has. */
  readonly pod: string;
  /** Entries kept in Redis, about. */
  readonly maxlen: number;
  readonly listener: ReaderListener;
  readonly log: Logger;
}

/** Entries that a pod keeps in memory, and their size. */
const RING_ENTRIES = 16_384;
const RING_CHARACTERS = 64 * 1024 * 1024;
/** Entries that a fresh pod fetches for clients that come from other pods. */
const PRELOAD = 5000;
/** How long an append may wait to be carried out; after that Redis refuses it. */
const APPEND_PATIENCE_MS = 2500;
/** How often appends look whether a new epoch is due. */
const LOOK_EVERY_MS = 100;
/** A claim that is not answered by then is void. */
const CLAIM_TTL_MS = 5000;
/** How long a client whose offset is ahead of this pod is held. */
const AHEAD_PATIENCE_MS = 5000;
/** Appended entries whose way out of the journal is timed at once. */
const MAX_TIMED = 10_000;
/** Clients held at most; each is looked at for every entry. */
const MAX_WAITING = 10_000;

/** A random id for an entry; the first letter tells how it came in. */
function entryId(origin: 'b' | 'h'): string {
  return origin + randomName(9);
}

/** The places of a batch, which is contiguous. */
function places(messages: readonly FeedMessage[], epoch: string, first: string | undefined): Offset[] {
  return messages.map((_, index) => ({ epoch, seq: Number(first) + index }));
}

/** A name of fixed length for a key. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** An id for an entry that the bridge appends. */
export function bridgedId(): string {
  return entryId('b');
}

/** Whether an entry was appended by a bridge, so that every pod heard its message on Pub/Sub too. */
export function isBridged(entry: JournalEntry): boolean {
  return entry.id.startsWith('b');
}

/** A journal in a Redis stream that all pods share. */
export class RedisJournal implements Journal, IdempotentJournal, DeletingJournal {
  /** Fills the ring and feeds the listener; give its session a connection of its own. */
  readonly reader: RedisReader;
  readonly #ring: Ring;
  readonly #tombstones: RedisTombstones;
  readonly #pages: RedisPages;
  readonly #keys: JournalKeys;
  readonly #options: RedisJournalOptions;
  /** Redis's clock less this process's, in ms, at least; unknown until first told. */
  #clockOffset: number | undefined;
  /** When an append last looked whether a new epoch is due, ms. */
  #lookedAt = 0;
  /** Appends that have no answer yet. */
  #appending = 0;
  readonly #waiting = new Set<() => void>();
  /** When entries that this pod appends came in, by id, until they are read. */
  readonly #timed = new Map<string, number>();

  constructor(options: RedisJournalOptions) {
    this.#options = options;
    this.#keys = journalKeys(options.keyPrefix);
    // Until Redis has been reached the pod is nowhere; the name says so to nobody but itself.
    this.#ring = new Ring({ epoch: newEpoch(), seq: 0 }, Math.min(RING_ENTRIES, options.maxlen), RING_CHARACTERS);
    options.commands.on('ready', () => {
      this.#lookedAt = 0;
    });
    const { listener, log } = options;
    const shared = { keys: this.#keys, ring: this.#ring, named: (entry: JournalEntry) => this.reader.named(entry) };
    const onDeleted = (entry: JournalEntry): void => listener.onDeleted?.(entry);
    this.#tombstones = new RedisTombstones({ ...shared, onDeleted, log });
    this.#pages = new RedisPages({ ...shared, commands: options.commands, tombstones: this.#tombstones });
    this.reader = new RedisReader(
      this.#keys,
      this.#ring,
      this.#tombstones,
      Math.min(PRELOAD, options.maxlen),
      {
        onEntry: (entry) => {
          const since = this.#timed.get(entry.id);
          this.#timed.delete(entry.id);
          listener.onEntry(entry, since);
          for (const wake of this.#waiting) wake();
        },
        onGap: (reason, requested, resumed) => listener.onGap(reason, requested, resumed),
        onJoined: (former, head, statuses) => {
          listener.onJoined(former, head, statuses);
          for (const wake of this.#waiting) wake();
        },
      },
      () => this.#appending > 0,
      log,
    );
  }

  async append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    const [outcome, epoch, first] = await this.#append(this.#timedNames(messages), '', 0);
    if (outcome !== 'OK' || epoch === undefined) throw new AppendError('Redis was too late to take the messages');
    return places(messages, epoch, first);
  }

  async appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedIdempotent> {
    const named = this.#timedNames(messages);
    const [outcome, epoch, first] = await this.#append(named, '', 0, once);
    if (outcome !== 'OK') for (const { id } of named) this.#timed.delete(id);
    if (outcome === 'OTHER') return { outcome: 'conflict' };
    if (epoch === undefined) throw new AppendError('Redis was too late to take the messages');
    return { outcome: outcome === 'AGAIN' ? 'repeated' : 'appended', offsets: places(messages, epoch, first) };
  }

  /**
   * Appends as the holder of the lease.
   *
   * @throws {@link AppendError} when it is not known whether the batch was appended; give the same batch number again
   */
  async appendFenced(messages: readonly NamedMessage[], fence: Fence): Promise<FencedResult> {
    const [outcome] = await this.#append(messages, fence.token, fence.batch);
    if (outcome === 'FENCED') return 'fenced';
    return outcome === 'LATE' ? 'late' : 'appended';
  }

  /** Asks for the lease of the bridge, or keeps it. */
  async lease({ token, ttl, mayTakeOver, claims }: LeaseRequest): Promise<LeaseAnswer> {
    const { lease, bridge, claim } = this.#keys;
    const args = [token, ttl, this.#options.pod, mayTakeOver ? '1' : '0', claims ? '1' : '0', CLAIM_TTL_MS];
    const [answer, now] = (await leaseScript.run(this.#options.commands, [lease, bridge, claim], args)) as [
      LeaseAnswer,
      string,
    ];
    this.#clockOffset = Number(now) - Date.now();
    return answer;
  }

  /** Gives the lease back. @param clean - nothing that was heard is left to append */
  async release(token: string, clean: boolean): Promise<void> {
    const { lease, bridge } = this.#keys;
    await releaseScript.run(this.#options.commands, [lease, bridge], [token, clean ? '1' : '0']);
  }

  /** Entries in the journal that this pod has not read yet, when last looked at. */
  lag(): number {
    return this.reader.lag;
  }

  /** Resolves when this pod has read all that is in the journal now, or is no longer wanted to. */
  async caughtUp(isWanted: () => boolean): Promise<void> {
    const seq = Number((await this.#options.commands.hget(this.#keys.meta, 'seq')) ?? 0);
    while (isWanted() && this.reader.position < seq) await sleep(5);
  }

  head(): Offset {
    return this.#ring.head;
  }

  back(count: number): Offset | Promise<Offset> {
    return count <= this.#ring.size ? this.#ring.back(count) : this.#pages.back(count);
  }

  async resolve(offset: Offset): Promise<Resolution> {
    if (this.#ring.covers(offset)) return { ok: true };
    const { epoch, seq } = this.#ring.head;
    const isAhead =
      offset.epoch === epoch
        ? offset.seq > seq
        : !this.#ring.knowsEpoch(offset.epoch) && (await this.#pages.isCurrent(offset.epoch));
    // Not reached in time: Redis knows whether the entry exists. If it does, the replay waits for the reader.
    if (isAhead && (await this.#reach(offset))) return { ok: true };
    return this.#pages.resolve(offset);
  }

  read(after: Offset, limit: number): readonly JournalEntry[] | Promise<readonly JournalEntry[] | undefined> {
    return this.#ring.after(after, limit) ?? this.#pages.read(after, limit);
  }

  async delete(offset: Offset, reason: string): Promise<Deleted> {
    const { commands } = this.#options;
    // Another pod may have deleted it a moment ago.
    await this.#tombstones.refresh(commands);
    const here = this.#ring.get(offset);
    const entry = here ?? (await this.#pages.get(offset));
    if (entry === undefined) return { outcome: await this.#pages.whyMissing(offset) };
    if (entry.deleted) return { outcome: 'repeated', entry };
    const answer = await this.#tombstones.carryOut(commands, { entry, reason }, here !== undefined);
    // This pod is not to serve it any longer when it says so.
    await this.#tombstones.refresh(commands);
    if (answer === 'OK') return { outcome: 'deleted', entry };
    return this.#tombstones.has(entry.id) ? { outcome: 'repeated', entry } : { outcome: 'expired' };
  }

  current(entry: JournalEntry): JournalEntry {
    return this.#tombstones.current(entry);
  }

  /** Names messages that came over HTTP, and notes when. */
  #timedNames(messages: readonly FeedMessage[]): NamedMessage[] {
    // Those that were never read, because they were not appended or were lost with a failover, must not add up.
    if (this.#timed.size + messages.length > MAX_TIMED) this.#timed.clear();
    const since = performance.now();
    return messages.map((message) => {
      const id = entryId('h');
      this.#timed.set(id, since);
      return { id, message };
    });
  }

  async #append(
    messages: readonly NamedMessage[],
    token: string,
    batch: number,
    once?: IdempotencyKey,
  ): Promise<[string, string?, string?]> {
    const { meta, journal, statuses, lease, request } = this.#keys;
    const clockOffset = this.#clockOffset ?? (await this.#learnClockOffset());
    const deadline = Math.round(Date.now() + clockOffset + APPEND_PATIENCE_MS);
    const floor = Math.max(this.reader.position, this.#ring.head.seq);
    // A promotion or a restart takes longer than the interval and breaks the connection: the first append after it looks.
    const now = Date.now();
    const looks = now - this.#lookedAt >= LOOK_EVERY_MS;
    const args: (string | number)[] = [
      newEpoch(),
      floor,
      this.#options.maxlen,
      deadline,
      token,
      batch,
      looks ? '1' : '0',
      once?.fingerprint ?? '',
      IDEMPOTENCY_MS,
    ];
    for (const { id, message } of messages) {
      const { event, json, symbol = '', timeframe = '', service = '' } = message;
      args.push(event, json, symbol, timeframe, service, id);
    }
    try {
      const keys = [meta, journal, statuses, lease, request + (once === undefined ? '' : digest(once.key))];
      this.#appending++;
      const answer = (await appendScript.run(this.#options.commands, keys, args)) as [string, string?, string?];
      // Whatever refused the batch did so before it looked.
      if (looks && answer[0] === 'OK') this.#lookedAt = now;
      return answer;
    } catch (error) {
      this.#lookedAt = 0;
      throw new AppendError((error as Error).message, { cause: error });
    } finally {
      this.#appending--;
    }
  }

  async #learnClockOffset(): Promise<number> {
    try {
      const now = await clockScript.run(this.#options.commands, [this.#keys.meta], []);
      return (this.#clockOffset ??= Number(now) - Date.now());
    } catch (error) {
      throw new AppendError((error as Error).message, { cause: error });
    }
  }

  /** Waits until the reader has come to an offset. */
  #reach(offset: Offset): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (reached: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(reached);
      };
      const look = (): void => {
        if (this.#ring.covers(offset)) done(true);
      };
      if (this.#waiting.size >= MAX_WAITING) {
        resolve(false);
        return;
      }
      const timer = setTimeout(done, AHEAD_PATIENCE_MS, false);
      this.#waiting.add(look);
    });
  }
}
