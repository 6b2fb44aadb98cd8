import type { Logger } from 'pino';
import type { ForeignEntryError } from './redis-entry.js';

const INTERVAL_MS = 10_000;

/** Names entries of the journal that no gateway wrote in the log, a few of many. */
export class ForeignLog {
  readonly #log: Logger;
  #loggedMs = -Infinity;
  #unlogged = 0;
  #newest = '';

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Notes one that was left out. One that is read again right away is not noted twice. */
  note({ streamId, fault }: Pick<ForeignEntryError, 'streamId' | 'fault'>): void {
    if (streamId === this.#newest) return;
    this.#newest = streamId;
    const nowMs = performance.now();
    if (nowMs - this.#loggedMs < INTERVAL_MS) {
      this.#unlogged++;
      return;
    }
    this.#loggedMs = nowMs;
    this.#log.warn(
      { id: streamId, fault, ...(this.#unlogged > 0 && { more: this.#unlogged }) },
      'an entry of the journal in Redis is not of this gateway; it is left out',
    );
    this.#unlogged = 0;
  }
}
