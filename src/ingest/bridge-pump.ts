import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.js';
import type { BridgeQueue, QueuedMessage } from './bridge-queue.js';

/** Where the bridge appends. */
export interface FencedJournal {
  /**
   * Appends a batch as the holder of the lease. MUST refuse it (`fenced`) when the token is not the holder's, and MUST NOT
   * append a batch twice under one number. MUST NOT append it after `notAfterMs`, on the clock of `performance.now()`. `late`
   * means that this call has appended nothing, and that it may be tried again.
   *
   * @throws when it is not known whether the batch was appended; giving the same number again is safe
   */
  appendFenced(
    messages: readonly QueuedMessage[],
    fence: { token: string; batch: number; notAfterMs: number },
  ): Promise<'appended' | 'fenced' | 'late'>;
}

/** How {@link BridgePump} is set up, and its callbacks. */
export interface BridgePumpOptions {
  readonly queue: Pick<BridgeQueue, 'length' | 'first' | 'appended'>;
  readonly journal: FencedJournal;
  /** The token of the lease while this pod may append, else `undefined`. */
  readonly token: () => string | undefined;
  /** Called with every batch that this pod has appended. */
  readonly onAppended: (messages: readonly QueuedMessage[]) => void;
  /** Called when the journal has refused a token. */
  readonly onFenced: (token: string) => void;
  /** Called when an append has failed and is tried again, with the words of Redis. */
  readonly onStuck: (reason: string) => void;
}

const BATCH = 500;
const RETRY_MS = 100;

/** Appends what waits in the queue, in order, one batch at a time (docs/ordering.md). */
export class BridgePump {
  readonly #options: BridgePumpOptions;
  /** Number of the newest batch; never used twice, under no token. */
  #batch = 0;
  #running: Promise<void> | undefined;

  constructor(options: BridgePumpOptions) {
    this.#options = options;
  }

  /** Appends what waits, while this pod may. Resolves when nothing is left to append; may be called at any time. */
  run(): Promise<void> {
    this.#running ??= this.#appendAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #appendAll(): Promise<void> {
    const { queue, token } = this.#options;
    // What came in the same read from the socket goes into the same batch.
    await Promise.resolve();
    for (let held = token(); held !== undefined; held = token()) {
      const messages = queue.first(BATCH, performance.now());
      if (messages.length === 0) return;
      await this.#appendBatch(messages, held);
    }
  }

  /**
   * Gives the same batch under the same number until there is an answer: Redis does not append a number twice. Messages that
   * become too old meanwhile are left out. If they were appended by a call whose answer was lost, Redis says that it has
   * carried out this number, and they come out of the journal; else they are in no later call.
   */
  async #appendBatch(messages: readonly QueuedMessage[], held: string): Promise<void> {
    const { queue, journal, token, onAppended, onFenced, onStuck } = this.#options;
    const batch = ++this.#batch;
    while (token() === held) {
      const left = messages.filter(({ expiresAtMs }) => expiresAtMs >= performance.now());
      const [oldest] = left;
      if (oldest === undefined) return;
      try {
        const result = await journal.appendFenced(left, { token: held, batch, notAfterMs: oldest.expiresAtMs });
        if (result === 'fenced') {
          onFenced(held);
          return;
        }
        if (result === 'appended') {
          queue.appended(left);
          onAppended(left);
          return;
        }
        onStuck('Redis was too late to take the messages');
      } catch (error) {
        onStuck(messageOf(error));
      }
      await sleep(RETRY_MS);
    }
  }
}
