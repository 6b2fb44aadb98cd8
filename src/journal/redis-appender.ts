import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { FeedMessage } from '../contract/decode.js';
import { type Offset, formatOffset } from '../contract/offset.js';
import { messageOf } from '../errors.js';
import { randomName } from '../random-name.js';
import type { KeyCare } from '../redis/key-care.js';
import type { ScriptArgument } from '../redis/lua-script.js';
import { TurnShare } from '../turn-share.js';
import { newEpoch } from './epoch.js';
import {
  AppendError,
  type AppendedIdempotent,
  IDEMPOTENCY_MS,
  type IdempotencyKey,
  NotReplicatedError,
} from './journal.js';
import type { RedisClock } from './redis-clock.js';
import type { Seen } from './redis-epochs.js';
import type { JournalKeys } from './redis-keys.js';
import { appendScript } from './redis-scripts.js';
import type { ReplicaWait } from './replica-wait.js';

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
  /** On the clock of `performance.now()`: it is not appended later. */
  readonly notAfterMs?: number;
}

/**
 * What came of a fenced append: `fenced` when the token is not the lease's, `late` when Redis carried it out too late. Both have
 * appended nothing.
 */
export type FencedResult = 'appended' | 'fenced' | 'late';

/** What came of an attempt to append: whether the journal takes messages. */
export interface AppendResult {
  /** On the clock of `performance.now()`. */
  readonly sentAtMs: number;
  /** What Redis or the connection says; left out where Redis has carried it out. */
  readonly error?: unknown;
}

/** Proof that the caller may append what it has read in a source stream, and the place that goes with it. */
export interface SourceFence {
  /** The token of the lease of the bridge. */
  readonly token: string;
  /** The name of the stream. */
  readonly stream: string;
  /** How far it must have been read so far; empty if nobody has read it. */
  readonly expected: string;
  /** How far it has been read with this batch. */
  readonly place: string;
}

/**
 * What came of an append from a source stream: `fenced` and `late` as {@link FencedResult}; `moved` when the stream has been
 * read to another place than was expected. All but `appended` have appended nothing.
 */
export type SourceResult =
  | { readonly outcome: FencedResult }
  /** `place` is how far the stream has been read; empty if nobody has read it. */
  | { readonly outcome: 'moved'; readonly place: string };

/** How {@link RedisAppender} is set up. */
export interface RedisAppenderOptions {
  /** A connection that fails at once while its link is down. */
  readonly commands: Redis | Cluster;
  readonly keys: JournalKeys;
  readonly clock: RedisClock;
  /** Entries kept in Redis, about. */
  readonly maxlen: number;
  /** What this pod has read. */
  readonly seen: () => Seen;
  /** Where appends that are not fenced go, if replicas must have them before they count as done. */
  readonly replicaWait: ReplicaWait | undefined;
  /** Called for every attempt. */
  readonly onResult?: ((result: AppendResult) => void) | undefined;
  readonly care: KeyCare;
  readonly log: Logger;
}

/**
 * How long an append may wait to be carried out; after that Redis refuses it. Shorter than a command may take, so that what has
 * failed for the caller is not carried out later (docs/ordering.md).
 */
const APPEND_PATIENCE_MS = 2500;
/** How often an append has Redis check whether a new epoch is due. */
const LOOK_INTERVAL_MS = 100;
/** Epochs of which it is remembered how far this pod has appended. */
const MAX_EPOCHS = 16;
/** Most appended entries whose way through the journal is timed at once. */
const MAX_TIMED = 10_000;
/** Log line of a stream to which nothing could be added. */
export const JOURNAL_MENDED =
  'the stream of the journal took no entries any more; it was mended, and a new epoch began';
/** Characters of JSON that are given to ioredis as bytes: as text, a batch at its largest would stop the event loop for long. */
const LARGE_BATCH = 64 * 1024;

/** What `append.lua` answers. */
type AppendAnswer = [
  outcome: 'OK' | 'LATE' | 'FENCED' | 'DONE' | 'AGAIN' | 'OTHER' | 'MOVED',
  epochOrPlace?: string,
  first?: string,
  done?: string,
];

/** What Redis answered to an append, and how many replicas have it, where somebody waits for them. */
interface Appended {
  readonly answer: AppendAnswer;
  readonly replicas?: Promise<number>;
}

/** A random id for an entry; the first letter says how it came in. */
function entryId(origin: 'b' | 'h'): string {
  return origin + randomName(9);
}

/** An id for an entry that the bridge appends. */
export function bridgedId(): string {
  return entryId('b');
}

/** Whether an entry was appended by a bridge, so that every pod heard its message on Pub/Sub too. */
export function isBridged({ id }: { readonly id: string }): boolean {
  return id.startsWith('b');
}

/** The places of a batch, which is contiguous. */
function places(messages: readonly FeedMessage[], epoch: string, first: string | undefined): Offset[] {
  return messages.map((_, index) => ({ epoch, seq: Number(first) + index }));
}

/** The texts of a batch, ready to be sent. Those of a large one are encoded a few ms in each turn of the event loop. */
async function encoded(messages: readonly NamedMessage[]): Promise<readonly (string | Buffer)[]> {
  const texts = messages.map(({ message: { json } }) => json);
  if (texts.reduce((sum, { length }) => sum + length, 0) <= LARGE_BATCH) return texts;
  const share = new TurnShare();
  const bytes: Buffer[] = [];
  for (const text of texts) {
    bytes.push(Buffer.from(text));
    if (share.isOver) await share.next();
  }
  return bytes;
}

/** A name of fixed length for a key. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** Appends to the journal in Redis, and remembers when what it appends came in. */
export class RedisAppender {
  readonly #options: RedisAppenderOptions;
  /** When an append last had Redis check whether a new epoch is due, Unix time. */
  #lookedAtMs = 0;
  /** Appends that Redis has not answered yet. */
  #pending = 0;
  /** Newest number that this pod has appended, by epoch, oldest first. */
  readonly #newest = new Map<string, number>();
  /** When messages of this pod came in, by the id of the entry, until the entry is read. */
  readonly #cameInAtMs = new Map<string, number>();

  constructor(options: RedisAppenderOptions) {
    this.#options = options;
    // A promotion or a restart takes longer than the interval and breaks the connection: the first append after it looks.
    options.commands.on('ready', () => {
      this.#lookedAtMs = 0;
    });
  }

  /** Whether Redis owes an answer to an append. */
  get isAppending(): boolean {
    return this.#pending > 0;
  }

  /**
   * The newest entry that this pod has appended, read or not; 0 for none. Where Redis loses it, somebody has to be told.
   *
   * @param before - numbers from this one on do not count
   */
  newestAppended(before = Infinity): Offset {
    let newest: Offset = { epoch: '', seq: 0 };
    for (const [epoch, seq] of this.#newest) if (seq < before && seq > newest.seq) newest = { epoch, seq };
    return newest;
  }

  /** As {@link Journal.append}. */
  async append(messages: readonly FeedMessage[]): Promise<readonly Offset[]> {
    const appended = await this.#append(this.#nameAndTime(messages));
    const [outcome, epoch, first] = appended.answer;
    if (outcome !== 'OK' || epoch === undefined) throw new AppendError('Redis was too late to take the messages');
    await this.#kept(appended);
    return places(messages, epoch, first);
  }

  /** As {@link IdempotentJournal.appendIdempotent}. */
  async appendIdempotent(messages: readonly FeedMessage[], once: IdempotencyKey): Promise<AppendedIdempotent> {
    const named = this.#nameAndTime(messages);
    const appended = await this.#append(named, { once });
    const [outcome, epoch, first] = appended.answer;
    if (outcome !== 'OK') for (const { id } of named) this.#cameInAtMs.delete(id);
    if (outcome === 'OTHER') return { outcome: 'conflict' };
    if (epoch === undefined) throw new AppendError('Redis was too late to take the messages');
    await this.#kept(appended);
    return { outcome: outcome === 'AGAIN' ? 'repeated' : 'appended', offsets: places(messages, epoch, first) };
  }

  /**
   * Appends as the holder of the lease.
   *
   * @throws {@link AppendError} when it is not known whether the batch was appended; give the same batch number again
   */
  async appendFenced(messages: readonly NamedMessage[], fence: Fence): Promise<FencedResult> {
    const [outcome] = (await this.#append(messages, { fence })).answer;
    if (outcome === 'FENCED') return 'fenced';
    return outcome === 'LATE' ? 'late' : 'appended';
  }

  /**
   * Appends messages of a source stream as the holder of the lease, and moves its place, also where there are no messages.
   *
   * @throws {@link AppendError} when it is not known whether the batch was appended; call it again with the same places
   */
  async appendSourced(messages: readonly NamedMessage[], source: SourceFence): Promise<SourceResult> {
    this.#time(messages);
    const [outcome, place = ''] = (await this.#append(messages, { source })).answer;
    if (outcome === 'FENCED') return { outcome: 'fenced' };
    if (outcome === 'LATE') return { outcome: 'late' };
    // It was appended by an earlier call whose answer was lost.
    if (outcome === 'MOVED' && place !== source.place) return { outcome: 'moved', place };
    return { outcome: 'appended' };
  }

  /** When the message of an entry came into this pod, on the clock of `performance.now()`; asked once, when it is read. */
  takeTime(id: string): number | undefined {
    const atMs = this.#cameInAtMs.get(id);
    this.#cameInAtMs.delete(id);
    return atMs;
  }

  /** Names messages that came over HTTP, and notes when. */
  #nameAndTime(messages: readonly FeedMessage[]): NamedMessage[] {
    const named = messages.map((message) => ({ id: entryId('h'), message }));
    this.#time(named);
    return named;
  }

  /** Notes that messages came in now, unless that is noted. */
  #time(messages: readonly NamedMessage[]): void {
    // Entries that are never read, since they were not appended or went down with a Redis, must not add up.
    if (this.#cameInAtMs.size + messages.length > MAX_TIMED) this.#cameInAtMs.clear();
    const atMs = performance.now();
    for (const { id } of messages) if (!this.#cameInAtMs.has(id)) this.#cameInAtMs.set(id, atMs);
  }

  async #append(
    messages: readonly NamedMessage[],
    { fence, source, once }: { fence?: Fence; source?: SourceFence; once?: IdempotencyKey } = {},
  ): Promise<Appended> {
    const { commands, keys, clock, maxlen, seen, care, log } = this.#options;
    const replicaWait = fence === undefined && source === undefined ? this.#options.replicaWait : undefined;
    const texts = await encoded(messages);
    const redisMs = await clock.now().catch((error: unknown) => {
      throw new AppendError(messageOf(error), { cause: error });
    });
    const leftMs = (fence?.notAfterMs ?? Infinity) - performance.now();
    const deadlineMs = Math.floor(redisMs + Math.min(APPEND_PATIENCE_MS, leftMs));
    const nowMs = Date.now();
    const looks = nowMs - this.#lookedAtMs >= LOOK_INTERVAL_MS;
    const { newest, hasAll } = seen();
    const args: ScriptArgument[] = [
      newEpoch(),
      formatOffset(newest),
      hasAll ? '1' : '0',
      maxlen,
      deadlineMs,
      fence?.token ?? source?.token ?? '',
      fence?.batch ?? 0,
      looks ? '1' : '0',
      once?.fingerprint ?? '',
      IDEMPOTENCY_MS,
      replicaWait === undefined ? '0' : '1',
      source?.stream ?? '',
      source?.expected ?? '',
      source?.place ?? '',
    ];
    for (const [index, { id, message }] of messages.entries()) {
      const { event, symbol = '', timeframe = '', service = '' } = message;
      args.push(event, texts[index] ?? '', symbol, timeframe, service, id);
    }
    const request = keys.request + (once === undefined ? '' : digest(once.key));
    const scriptKeys = [keys.meta, keys.journal, keys.statuses, keys.lease, request, keys.sources];
    const waited: { replicas?: Promise<number> } = {};
    const send = (): Promise<unknown> => {
      if (replicaWait === undefined) return appendScript.run(commands, scriptKeys, args);
      const { answer, replicas } = replicaWait.run(appendScript, scriptKeys, args);
      waited.replicas = replicas;
      return answer;
    };
    const answer = await this.#answered(care.run(commands, scriptKeys, send));
    const appended = { answer, ...waited };
    const [outcome, epoch, first, done] = answer;
    if (outcome !== 'OK' || epoch === undefined) return appended;
    if (done) log.warn({ epoch, done }, JOURNAL_MENDED);
    // Whatever refused the batch did so before it looked.
    if (looks) this.#lookedAtMs = nowMs;
    this.#noteNewest(epoch, Number(first) + messages.length - 1);
    return appended;
  }

  /** Waits until enough replicas have what was appended. @throws {@link NotReplicatedError} when they do not in time */
  async #kept({ answer: [outcome], replicas }: Appended): Promise<void> {
    const needed = this.#options.replicaWait?.minReplicas ?? 0;
    const have = (await replicas) ?? needed;
    if (have < needed) throw new NotReplicatedError({ replicas: have, needed, isNew: outcome === 'OK' });
  }

  #noteNewest(epoch: string, seq: number): void {
    this.#newest.set(epoch, Math.max(seq, this.#newest.get(epoch) ?? 0));
    const [oldest] = this.#newest.keys();
    if (this.#newest.size > MAX_EPOCHS && oldest !== undefined) this.#newest.delete(oldest);
  }

  async #answered(answer: Promise<unknown>): Promise<AppendAnswer> {
    this.#pending++;
    const { onResult } = this.#options;
    const sentAtMs = performance.now();
    try {
      const answered = (await answer) as AppendAnswer;
      // One that could not be written in time proves nothing.
      if (answered[0] === 'OK') onResult?.({ sentAtMs });
      return answered;
    } catch (error) {
      this.#lookedAtMs = 0;
      onResult?.({ sentAtMs, error });
      throw new AppendError(messageOf(error), { cause: error });
    } finally {
      this.#pending--;
    }
  }
}
