import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { FeedEvent } from '../contract/events.js';
import { messageOf } from '../errors.js';
import type { LuaScript } from '../redis/lua-script.js';
import type { RejectedMessage } from './rejections.js';
import {
  type SourceBatch,
  type SourceFinding,
  type SourcedMessage,
  inspectSource,
  sourceBatch,
} from './source-batch.js';
import { SourceLosses } from './source-losses.js';
import { type SourcePage, type SourceRequest, awaitSourceEntry, readSourcePage } from './source-page.js';
import { STREAM_START, type SourcePlace, formatSourcePlace, isEarlierId, parseSourcePlace } from './source-place.js';

/** Where the messages of a source stream are appended. */
export interface SourceJournal {
  /**
   * How far a stream has been read, as the last append said; empty if nobody has read it.
   *
   * @throws when it cannot be found out
   */
  sourcePlace(stream: string): Promise<string>;

  /**
   * Appends messages as the holder of the lease and moves the place of their stream, both in one step. MUST refuse when the
   * token is not the holder's (`fenced`), and when the place is not `expected` (`moved`), unless it is `place` already:
   * then an earlier call has appended them.
   *
   * @throws when it is not known whether they were appended; calling it again is safe
   */
  appendSourced(
    messages: readonly SourcedMessage[],
    source: { token: string; stream: string; expected: string; place: string },
  ): Promise<{ outcome: 'appended' | 'fenced' | 'late' } | { outcome: 'moved'; place: string }>;
}

/** Ids of journal entries that are made of the entries of a stream. */
export interface SourceEntryIds {
  /** @param id - of the entry in the stream */
  make(id: string): string;
  /** The id in the stream of the entry that this one was made of; `undefined` if it does not come from there. */
  origin(entry: { readonly id: string }): string | undefined;
}

/** How a {@link SourceStream} is set up, and its callbacks. */
export interface SourceStreamOptions {
  readonly stream: string;
  /** The event that its messages are for. */
  readonly event: FeedEvent;
  /** Longest message accepted. */
  readonly maxBytes: number;
  readonly journal: SourceJournal;
  readonly ids: SourceEntryIds;
  /** `SOURCE_PAGE_SCRIPT`, loaded. */
  readonly script: Pick<LuaScript, 'run'>;
  /** The token of the lease of the bridge while this pod may append, else `undefined`. */
  readonly token: () => string | undefined;
  /** Called with how many messages this pod has appended. */
  readonly onAppended: (count: number) => void;
  /** Called for each entry that has no valid message, once the place has moved past it. */
  readonly onRejected: (rejected: RejectedMessage) => void;
  /** Called when entries were taken out of the stream before they were read, with how many. */
  readonly onLost: (count: number) => void;
  readonly log: Logger;
}

/** Most entries that are appended together. */
const BATCH = 500;
const RETRY_MS = 100;
/** How often a pod that does not read the stream checks whether it could. */
const LOOK_INTERVAL_MS = 1000;

/** Where reading goes on. */
interface Position {
  readonly place: SourcePlace;
  /** The place as it stands in Redis; empty if there is none. */
  readonly kept: string;
}

/**
 * Carries the entries of a Redis stream, which producers add to, into the journal.
 *
 * The holder of the bridge's lease reads; the others check whether they could. How far the stream was read is kept by the very
 * script that appends what was read (docs/ordering.md), so whoever takes over continues there, and nothing of a stream
 * is appended twice or left out, whatever dies in between. The stream itself is never changed.
 */
export class SourceStream {
  readonly #options: SourceStreamOptions;
  readonly #losses: SourceLosses;
  /** The newest entry of the stream that this pod knows to be in the journal: what was kept in Redis may be lost. */
  #newest: SourcePlace | undefined;
  readonly #sleepers = new Set<() => void>();

  constructor(options: SourceStreamOptions) {
    this.#options = options;
    this.#losses = new SourceLosses(options);
  }

  /** Notes that this pod holds the lease now. */
  leaseTaken(): void {
    for (const wake of this.#sleepers) wake();
  }

  /** Notes an entry of the journal, from whatever source. */
  seen(entry: { readonly id: string }): void {
    const id = this.#options.ids.origin(entry);
    if (id !== undefined) this.#noteNewest({ id, count: undefined });
  }

  /**
   * Reads the stream while this pod holds the lease, until the connection fails.
   *
   * @param up - called when the stream and its place can be read
   * @throws what Redis or the connection says
   */
  async session(redis: Redis | Cluster, up: () => void): Promise<never> {
    const { journal, stream, token } = this.#options;
    for (let isUp = false; ; isUp = true) {
      const [kept] = await Promise.all([journal.sourcePlace(stream), this.#page(redis, STREAM_START, 0)]);
      if (!isUp) up();
      const held = token();
      if (held === undefined) await this.#untilLeaseIsTaken();
      else await this.#read(redis, held, kept);
    }
  }

  /** Reads while this pod holds the lease, and nobody else has moved the place. */
  async #read(redis: Redis | Cluster, held: string, kept: string): Promise<void> {
    let at: Position = { kept, place: this.#beginning(kept) };
    let isFirst = parseSourcePlace(kept) === undefined;
    /** Whether the batch before was appended; the next one is read meanwhile. */
    let appended = Promise.resolve(true);
    try {
      while (this.#options.token() === held) {
        const page = await this.#page(redis, at.place.id, BATCH);
        if (isFirst) this.#sayBeginning(at, page);
        isFirst = false;
        const found = inspectSource(page, at.place);
        const batch = await this.#next(redis, page, found);
        if (!(await appended)) return;
        if (batch === undefined || formatSourcePlace(batch.place) === at.kept) continue;
        appended = this.#append(held, at.kept, { ...batch, found });
        at = { place: batch.place, kept: formatSourcePlace(batch.place) };
      }
    } finally {
      await appended;
    }
  }

  /** What comes next: what the page has, or what it says about the stream, or the next entry that is added. */
  async #next(redis: Redis | Cluster, { entries }: SourcePage, found: SourceFinding): Promise<SourceBatch | undefined> {
    const { event, maxBytes, ids } = this.#options;
    const rules = { event, maxBytes, makeId: (id: string) => ids.make(id) };
    if (entries.length > 0) return sourceBatch(entries, found.place, rules);
    if (found.lost > 0 || found.change !== undefined) return sourceBatch([], found.place, rules);
    const entry = await awaitSourceEntry(redis, this.#request(found.place.id));
    return entry && sourceBatch([entry], found.place, rules);
  }

  /** Appends a batch, however often that takes. @returns whether it was appended */
  async #append(held: string, expected: string, batch: SourceBatch & { found: SourceFinding }): Promise<boolean> {
    const { journal, stream, token, log } = this.#options;
    const place = formatSourcePlace(batch.place);
    let wanted = expected;
    while (token() === held) {
      try {
        const result = await journal.appendSourced(batch.messages, { token: held, stream, expected: wanted, place });
        if (result.outcome === 'appended') {
          this.#settled(batch);
          return true;
        }
        if (result.outcome === 'fenced') return false;
        if (result.outcome === 'moved') {
          // Only the holder moves it: without a place, what Redis kept is gone, and this pod knows what it was.
          if (result.place !== '') {
            log.warn({ stream, place: result.place, expected: wanted }, 'the place in a source stream has moved');
            return false;
          }
          log.error({ stream, place: wanted }, 'the place in a source stream is gone from Redis; going on from memory');
          wanted = '';
          continue;
        }
      } catch (error) {
        log.debug({ stream, reason: messageOf(error) }, 'cannot append what a source stream has; trying again');
      }
      await sleep(RETRY_MS);
    }
    return false;
  }

  /** Notes what is in the journal now, with everything before it. */
  #settled({ messages, rejected, place, found }: SourceBatch & { readonly found: SourceFinding }): void {
    const { onAppended, onRejected } = this.#options;
    if (found.change === undefined) this.#noteNewest(place);
    else this.#newest = place;
    if (messages.length > 0) onAppended(messages.length);
    for (const one of rejected) onRejected(one);
    this.#losses.note(found, place);
  }

  /** Where to begin: at the place that is kept; without one, after what this pod knows to be in the journal, or at the start. */
  #beginning(kept: string): SourcePlace {
    return parseSourcePlace(kept) ?? this.#newest ?? { id: STREAM_START, count: undefined };
  }

  #sayBeginning({ kept, place }: Position, { length }: SourcePage): void {
    const { stream, log } = this.#options;
    if (place.id === STREAM_START) {
      log.info({ stream, entries: length }, 'nobody has read this source stream yet; reading it from its start');
    } else {
      const text = 'the place in a source stream is gone from Redis; going on after the newest entry in the journal';
      log.error({ stream, kept, after: place.id }, text);
    }
  }

  #noteNewest(place: SourcePlace): void {
    const newest = this.#newest;
    // One that was read off the journal says less than the same one that this pod has appended.
    const saysMore = place.count !== undefined && place.id === newest?.id;
    if (newest === undefined || saysMore || isEarlierId(newest.id, place.id)) this.#newest = place;
  }

  #request(after: string): SourceRequest {
    const { stream, maxBytes } = this.#options;
    return { stream, after, maxBytes };
  }

  #page(redis: Redis | Cluster, after: string, count: number): Promise<SourcePage> {
    return readSourcePage(redis, this.#options.script, { ...this.#request(after), count });
  }

  #untilLeaseIsTaken(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, LOOK_INTERVAL_MS);
      this.#sleepers.add(wake);
    });
  }
}
