import { randomUUID } from 'node:crypto';
import { type Logger, pino } from 'pino';
import type { FeedEvent } from '../../src/contract/events.js';
import type { RejectedMessage } from '../../src/ingest/rejections.js';
import { SOURCE_PAGE_SCRIPT } from '../../src/ingest/source-page.js';
import { SourceStream } from '../../src/ingest/source-stream.js';
import { SourceIds } from '../../src/journal/source-ids.js';
import { type RedisCommands, RedisConnections } from '../../src/redis/connections.js';
import { RedisLink } from '../../src/redis/link.js';
import { luaScript } from '../../src/redis/lua-script.js';
import { parseRedisUrl } from '../../src/redis/url.js';
import { JournalPod } from './journal-pod.js';
import type { Cleanup } from './processes.js';
import type { RedisServer } from './redis.js';
import { until } from './until.js';

/** The part of a pod that reads one source stream into a journal, which it reads too; with a lease, but no bridge. */
export class SourceReader {
  readonly journal: JournalPod;
  readonly rejected: RejectedMessage[] = [];
  /** Log lines by what they say. */
  readonly said: Record<string, unknown>[] = [];
  accepted = 0;
  lost = 0;
  up = false;
  /** Why the stream could not be read, each time. */
  readonly errors: string[] = [];
  readonly #source: SourceStream;
  readonly #link: RedisLink<RedisCommands>;
  #token: string | undefined;

  private constructor(cleanup: Cleanup, url: string, journal: JournalPod) {
    this.journal = journal;
    const target = parseRedisUrl(url);
    if (target === undefined) throw new Error(`${url} is not the URL of a Redis`);
    const connections = new RedisConnections(target, 'test');
    const event: FeedEvent = 'new_signal';
    const log: Logger = pino(
      { level: 'info' },
      { write: (line) => this.said.push(JSON.parse(line) as Record<string, unknown>) },
    );
    this.#source = new SourceStream({
      stream: 'signals',
      event,
      maxBytes: 16_000,
      journal: journal.journal,
      ids: new SourceIds('signals'),
      script: luaScript(SOURCE_PAGE_SCRIPT),
      token: () => this.#token,
      onAppended: (count) => (this.accepted += count),
      onRejected: (one) => this.rejected.push(one),
      onLost: (count) => (this.lost += count),
      log,
    });
    this.#link = new RedisLink<RedisCommands>({
      purpose: 'source',
      connect: () => connections.keyed('source'),
      session: (redis, up) => this.#source.session(redis, up),
      onLink: (up, error) => {
        this.up = up;
        if (!up) this.errors.push((error as Error).message);
      },
      log,
    });
    cleanup.add(this, () => this.#link.stop());
  }

  /** Starts it, without the lease. */
  static async start(cleanup: Cleanup, redis: RedisServer): Promise<SourceReader> {
    const reader = new SourceReader(cleanup, redis.url, await JournalPod.start(cleanup, { url: redis.url }));
    reader.#link.start();
    return reader;
  }

  /** Takes the lease, and reads from now on. */
  async take(): Promise<void> {
    const token = randomUUID();
    const lease = this.journal.journal.lease;
    await until('the lease', async () =>
      ['acquired', 'handed-over'].includes(await lease.ask({ token, ttlMs: 60_000, mayTakeOver: true, claims: false })),
    );
    this.#token = token;
    this.#source.leaseTaken();
  }

  /** Gives the lease back, and reads no more. */
  async leave(): Promise<void> {
    const token = this.#token ?? '';
    this.#token = undefined;
    await this.journal.journal.lease.release(token, true);
  }

  /** Shows the stream what this pod has read of the journal, as the gateway does entry by entry. */
  seeAll(): void {
    for (const entry of this.journal.entries) this.#source.seen(entry);
  }

  /** The prices of the signals in the journal, in order. */
  get prices(): number[] {
    return this.journal.entries.map(({ json }) => (JSON.parse(json) as { price: number }).price);
  }

  /** Waits for so many signals in the journal. */
  async has(count: number): Promise<number[]> {
    await until(`${count} signals in the journal`, () => this.journal.entries.length >= count, {
      seen: () => ({ prices: this.prices, said: this.said, errors: this.errors }),
    });
    return this.prices;
  }

  /** Waits until the stream has been read up to an entry. */
  async readTo(id: string): Promise<void> {
    await until(
      `the place ${id}`,
      async () => (await this.journal.journal.sourcePlace('signals')).startsWith(`${id} `),
      {
        seen: () => ({ said: this.said, errors: this.errors }),
      },
    );
  }

  /** What was logged at warn or above, in order. */
  get warnings(): string[] {
    return this.said.filter(({ level }) => Number(level) >= 40).map(({ msg }) => String(msg));
  }
}
