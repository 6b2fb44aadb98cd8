import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { BridgeQueue, QueuedMessage } from './bridge-queue.js';

/** Where the bridge appends. */
export interface FencedJournal {
  /**
   * Appends a batch as the holder of the lease. MUST refuse it (`fenced`) when the token is not the holder's, and MUST NOT
   * append a batch twice under one number. `late` means that nothing was appended, and that it may be tried again.
   *
   * @throws when it is not known whether the batch was appended; giving the same number again is safe
   */
  appendFenced(
    messages: readonly QueuedMessage[],
    fence: { token: string; batch: number },
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
  readonly log: Logger;
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
    for (let held = token(); held !== undefined && queue.length > 0; held = token()) {
      await this.#appendBatch(queue.first(BATCH), held);
    }
  }

  async #appendBatch(messages: readonly QueuedMessage[], held: string): Promise<void> {
    const { queue, journal, token, onAppended, onFenced, log } = this.#options;
    const batch = ++this.#batch;
    // The same batch under the same number until there is an answer: Redis does not append a number twice.
    while (token() === held) {
      try {
        const result = await journal.appendFenced(messages, { token: held, batch });
        if (result === 'late') {
          await sleep(RETRY_MS);
          continue;
        }
        if (result === 'fenced') {
          onFenced(held);
          return;
        }
        queue.appended(messages);
        onAppended(messages);
        return;
      } catch (error) {
        log.debug({ reason: messageOf(error) }, 'no answer to an append of the bridge; trying again');
        await sleep(RETRY_MS);
      }
    }
  }
}
