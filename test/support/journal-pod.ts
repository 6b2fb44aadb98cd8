import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import type { Offset } from '../../src/contract/offset.js';
import type { GapReason, JournalEntry } from '../../src/journal/journal.js';
import { RedisJournal } from '../../src/journal/redis-journal.js';
import { WAIT_LANES } from '../../src/journal/replica-wait.js';
import { type RedisCommands, RedisConnections } from '../../src/redis/connections.js';
import { RedisLink } from '../../src/redis/link.js';
import { parseRedisUrl } from '../../src/redis/url.js';
import type { Cleanup } from './processes.js';
import { until } from './until.js';

/** A gap as the listener was told of it. */
export interface SeenGap {
  readonly reason: GapReason;
  readonly requested: Offset;
  readonly resumed: Offset;
}

/** How a {@link JournalPod} reaches Redis. */
export interface JournalPodOptions {
  readonly url: string;
  /** Where the reader's own connection goes. @default url */
  readonly readerUrl?: string;
  /** @default 100_000 */
  readonly maxlen?: number;
  /** What the newest entries may take in memory. @default 64 MiB */
  readonly ringBytes?: number;
  /** As JOURNAL_MIN_REPLICAS. @default 0 */
  readonly minReplicas?: number;
  /** As in `JournalListener.room`. */
  readonly room?: () => Promise<void> | undefined;
}

function place({ epoch, seq }: Offset): Offset {
  return { epoch, seq };
}

function connections(url: string): RedisConnections {
  const target = parseRedisUrl(url);
  if (target === undefined) throw new Error(`${url} is not the URL of a Redis`);
  return new RedisConnections(target, 'test');
}

/** The part of a pod that has to do with the journal: a journal in Redis with its reader, as the gateway runs them. */
export class JournalPod {
  readonly journal: RedisJournal;
  /** What the listener got. */
  readonly entries: JournalEntry[] = [];
  readonly gaps: SeenGap[] = [];
  /** What is left of deleted entries, as the listener was told of them. */
  readonly deleted: JournalEntry[] = [];
  readonly commands: RedisCommands;
  readonly replays: RedisCommands;
  /** Whether the reader has what was in the journal when its link was made. */
  up = false;
  readonly #link: RedisLink<RedisCommands>;
  readonly #lanes: readonly RedisCommands[];

  private constructor(cleanup: Cleanup, options: JournalPodOptions) {
    const { url, readerUrl = url, maxlen = 100_000, ringBytes = 64 * 1024 * 1024 } = options;
    const log = pino({ level: 'silent' });
    const forCommands = connections(url);
    this.commands = forCommands.commands('commands', { queue: false });
    this.replays = forCommands.commands('replay', { queue: false });
    const minReplicas = options.minReplicas ?? 0;
    const lanes =
      minReplicas === 0 ? [] : Array.from({ length: WAIT_LANES }, () => forCommands.commands('kept', { queue: false }));
    this.#lanes = lanes;
    for (const connection of [this.commands, this.replays, ...lanes]) connection.on('error', () => {});
    this.journal = new RedisJournal({
      commands: this.commands,
      replays: this.replays,
      keyPrefix: 'gateway',
      pod: randomUUID(),
      maxlen,
      ringBytes,
      kept: minReplicas === 0 ? undefined : { minReplicas, lanes },
      listener: {
        onEntry: (entry) => this.entries.push(entry),
        room: () => options.room?.(),
        onGap: (reason, requested, resumed) =>
          this.gaps.push({ reason, requested: place(requested), resumed: place(resumed) }),
        onDeleted: (entry) => this.deleted.push(entry),
        onJoined: () => {},
      },
      log,
    });
    const forReader = connections(readerUrl);
    this.#link = new RedisLink<RedisCommands>({
      purpose: 'journal',
      connect: () => forReader.keyed('reader'),
      session: (redis, up) => this.journal.reader.session(redis, up),
      onLink: (up) => {
        this.up = up;
      },
      log,
    });
    cleanup.add(this, async () => {
      await this.#link.stop();
      forCommands.close();
    });
  }

  /** Starts it and waits until it reads and takes commands. */
  static async start(cleanup: Cleanup, options: JournalPodOptions): Promise<JournalPod> {
    const pod = new JournalPod(cleanup, options);
    pod.#link.start();
    await pod.linked();
    return pod;
  }

  /** Waits until it reads and takes commands. */
  async linked(): Promise<void> {
    await until('the journal to be linked', async () => {
      const answers = this.up
        ? await Promise.all([this.commands, this.replays, ...this.#lanes].map((one) => one.ping()))
        : [];
      return answers.length > 0;
    });
  }

  /** What `until` prints of it. */
  toJSON(): unknown {
    return { up: this.up, entries: this.entries.length, head: this.journal.head(), gaps: this.gaps };
  }
}
