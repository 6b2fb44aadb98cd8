import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';
import { KeyCare } from '../redis/key-care.js';
import { newEpoch } from './epoch.js';
import type {
  AppendedIdempotent,
  Deleted,
  DeletingJournal,
  IdempotencyKey,
  IdempotentJournal,
  Journal,
  JournalEntry,
  RecentEntries,
  Resolution,
} from './journal.js';
import {
  type Fence,
  type FencedResult,
  type NamedMessage,
  type AppendResult,
  RedisAppender,
  type SourceFence,
  type SourceResult,
} from './redis-appender.js';
import { RedisClock } from './redis-clock.js';
import { type JournalKeys, journalKeys } from './redis-keys.js';
import { RedisLease } from './redis-lease.js';
import { RedisPages } from './redis-pages.js';
import { type ReaderListener, RedisReader } from './redis-reader.js';
import { probeScript } from './redis-scripts.js';
import { RedisTombstones } from './redis-tombstones.js';
import { ReplicaWait } from './replica-wait.js';
import { Ring } from './ring.js';
import { SharedPages } from './shared-pages.js';

/** How the journal is set up. */
export interface RedisJournalOptions {
  /** A connection that fails at once while its link is down. */
  readonly commands: Redis | Cluster;
  /** Another such connection, for what clients cause: appends and the lease MUST NOT wait behind a replay. */
  readonly replays: Redis | Cluster;
  readonly keyPrefix: string;
  /** A name that no other process has. */
  readonly pod: string;
  /** Entries kept in Redis, about. */
  readonly maxlen: number;
  /** What the newest entries may take in the memory of this pod, about. */
  readonly ringBytes: number;
  readonly listener: ReaderListener;
  /**
   * Set where replicas must have what is appended over HTTP before that counts as done.
   * @default undefined: nobody waits for replicas
   */
  readonly kept?: { readonly minReplicas: number; readonly lanes: readonly (Redis | Cluster)[] } | undefined;
  /** Called for every attempt to append. */
  readonly onAppend?: (result: AppendResult) => void;
  readonly log: Logger;
}

/** Most entries that a pod keeps in memory. */
const RING_ENTRIES = 16_384;
/** Entries that a fresh pod fetches for clients that come from other pods. */
const PRELOAD = 5000;
/** How long a client whose offset is ahead of this pod is held. */
const AHEAD_PATIENCE_MS = 5000;
/** Clients held at most; each is checked for every entry. */
const MAX_WAITING = 10_000;
/** How often {@link RedisJournal.caughtUp} checks where the reader is. */
const CAUGHT_UP_INTERVAL_MS = 5;
/** How long what a probe has written stays. */
const PROBE_KEPT_MS = 60_000;

/** A journal in a Redis stream that all pods share. */
export class RedisJournal implements Journal, IdempotentJournal, DeletingJournal {
  /** Fills the ring and feeds the listener; give its session a connection of its own. */
  readonly reader: RedisReader;
  /** Says which pod bridges Pub/Sub. */
  readonly lease: RedisLease;
  /** Says whether replicas have what was appended; `undefined` where nobody waits for them. */
  readonly replicaWait: ReplicaWait | undefined;
  readonly #appender: RedisAppender;
  readonly #ring: Ring;
  readonly #tombstones: RedisTombstones;
  readonly #pages: RedisPages;
  readonly #shared: SharedPages;
  readonly #keys: JournalKeys;
  readonly #commands: Redis | Cluster;
  readonly #care: KeyCare;
  /** One for each client that waits for an entry that the reader has not come to. */
  readonly #waiting = new Set<() => void>();

  constructor(options: RedisJournalOptions) {
    const { commands, replays, keyPrefix, pod, maxlen, ringBytes, listener, kept, onAppend, log } = options;
    const keys = journalKeys(keyPrefix);
    const care = new KeyCare(keyPrefix, log);
    this.#care = care;
    this.#keys = keys;
    this.#commands = commands;
    // Until Redis has been reached the pod is nowhere; the name says so to nobody but itself.
    const ring = new Ring({ epoch: newEpoch(), seq: 0 }, Math.min(RING_ENTRIES, maxlen), ringBytes);
    this.#ring = ring;
    const tombstones = new RedisTombstones({ keys, ring, onDeleted: (one) => listener.onDeleted?.(one), care, log });
    this.#tombstones = tombstones;
    const pages = new RedisPages({ commands: replays, keys, ring, tombstones });
    this.#pages = pages;
    this.#shared = new SharedPages({
      read: (from, count) => pages.page(from, count),
      visible: (entries) => pages.visible(entries),
    });
    const clock = new RedisClock(commands, keys.meta);
    this.lease = new RedisLease({ commands, keys, pod, clock, care });
    this.replicaWait = kept && new ReplicaWait({ ...kept, key: keys.meta });
    this.#appender = new RedisAppender({
      commands,
      keys,
      clock,
      maxlen,
      seen: () => this.reader.seen,
      replicaWait: this.replicaWait,
      onResult: onAppend,
      care,
      log,
    });
    this.reader = new RedisReader({
      keys,
      ring,
      tombstones,
      preload: Math.min(PRELOAD, maxlen),
      listener: this.#wakingWith(listener),
      appender: this.#appender,
      care,
      log,
    });
  }

  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    return this.#appender.append(messages);
  }

  appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedIdempotent> {
    return this.#appender.appendIdempotent(messages, once);
  }

  /** As {@link RedisAppender.appendFenced}. */
  appendFenced(messages: readonly NamedMessage[], fence: Fence): Promise<FencedResult> {
    return this.#appender.appendFenced(messages, fence);
  }

  /**
   * Finds out whether an append would be carried out now, without one.
   *
   * @throws what Redis or the connection says
   */
  async probe(): Promise<void> {
    const { meta, journal, statuses, lease, request, probe, probed } = this.#keys;
    const keys = [meta, journal, statuses, lease, request, probe, probed];
    const commands = this.#commands;
    await this.#care.run(commands, keys, () => probeScript.run(commands, keys, [PROBE_KEPT_MS, probe]));
  }

  /** As {@link RedisAppender.appendSourced}. */
  appendSourced(messages: readonly NamedMessage[], source: SourceFence): Promise<SourceResult> {
    return this.#appender.appendSourced(messages, source);
  }

  /**
   * How far a source stream has been read, as {@link SourceFence.place}; empty if nobody has read it.
   *
   * @throws what Redis or the connection says
   */
  async sourcePlace(stream: string): Promise<string> {
    const { sources } = this.#keys;
    const read = (): Promise<string | null> => this.#commands.hget(sources, stream);
    return (await this.#care.run(this.#commands, [sources], read)) ?? '';
  }

  /** Entries in the journal that this pod has not read yet, as far as it knows. */
  lag(): number {
    return this.reader.lag;
  }

  /** Resolves when this pod has read all that is in the journal now, or when that is no longer wanted. */
  async caughtUp(isWanted: () => boolean): Promise<void> {
    const seq = Number((await this.#commands.hget(this.#keys.meta, 'seq')) ?? 0);
    while (isWanted() && this.reader.position < seq) await sleep(CAUGHT_UP_INTERVAL_MS);
  }

  head(): Offset {
    return this.#ring.head;
  }

  get recent(): RecentEntries {
    return this.#ring;
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

  older(after: Offset): Promise<readonly JournalEntry[] | undefined> {
    return this.#shared.older(after);
  }

  async delete(offset: Offset, reason: string): Promise<Deleted> {
    const commands = this.#commands;
    // Another pod may have deleted it a moment ago.
    await this.#tombstones.refresh(commands);
    const here = this.#ring.get(offset);
    const entry = here ?? (await this.#pages.get(offset));
    if (entry === undefined) return { outcome: await this.#pages.whyMissing(offset) };
    if (entry.deleted) return { outcome: 'repeated', entry };
    const answer = await this.#tombstones.carryOut(commands, { entry, reason }, here !== undefined);
    // This pod must no longer serve it when it says so (docs/ordering.md).
    await this.#tombstones.refresh(commands);
    if (answer === 'OK') return { outcome: 'deleted', entry };
    return this.#tombstones.has(entry.id) ? { outcome: 'repeated', entry } : { outcome: 'expired' };
  }

  current(entry: JournalEntry): JournalEntry {
    return this.#tombstones.current(entry);
  }

  /** The listener, after which those are woken who wait for an entry. */
  #wakingWith(listener: ReaderListener): ReaderListener {
    const wake = (): void => {
      for (const look of this.#waiting) look();
    };
    return {
      onEntry: (entry) => {
        listener.onEntry(entry, this.#appender.takeTime(entry.id));
        wake();
      },
      onGap: (reason, requested, resumed) => listener.onGap(reason, requested, resumed),
      room: () => listener.room?.(),
      onJoined: (former, head, statuses) => {
        listener.onJoined(former, head, statuses);
        wake();
      },
    };
  }

  /** Waits until the reader has come to an offset. @returns whether it has, within {@link AHEAD_PATIENCE_MS} */
  #reach(offset: Offset): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (isReached: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(isReached);
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
