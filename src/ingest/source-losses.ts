import type { Logger } from 'pino';
import type { SourceFinding } from './source-batch.js';
import type { SourcePlace } from './source-place.js';

/** What {@link SourceLosses} needs. */
export interface SourceLossesOptions {
  readonly stream: string;
  readonly onLost: (count: number) => void;
  readonly log: Logger;
}

/** A stream that is trimmed all the time is logged this often. */
const LOG_INTERVAL_MS = 10_000;

/** Counts and logs what happened to a source stream before it was read. */
export class SourceLosses {
  readonly #options: SourceLossesOptions;
  #loggedAtMs = -Infinity;
  /** Counted and not logged yet. */
  #unlogged = 0;

  constructor(options: SourceLossesOptions) {
    this.#options = options;
  }

  /** @param place - where reading goes on */
  note({ lost, isAtLeast, change }: SourceFinding, place: SourcePlace): void {
    const { stream, onLost, log } = this.#options;
    if (change === 'back') {
      log.warn({ stream, after: place.id }, 'a source stream has gone back, as in a failover; going on after its end');
    }
    if (change === 'replaced') {
      log.warn({ stream }, 'a source stream was deleted and begun again; what was not read before that is lost');
    }
    if (lost === 0) return;
    onLost(lost);
    this.#unlogged += lost;
    const nowMs = performance.now();
    if (nowMs - this.#loggedAtMs < LOG_INTERVAL_MS) return;
    this.#loggedAtMs = nowMs;
    const entries = isAtLeast ? `at least ${this.#unlogged}` : this.#unlogged;
    log.error({ stream, entries }, 'entries were trimmed off a source stream before they were read; they are lost');
    this.#unlogged = 0;
  }
}
