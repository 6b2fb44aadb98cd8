import { messageOf } from '../errors.js';
import type { BridgeLease, BridgeLeaseAnswer, BridgeLeaseRequest } from './bridge-lease.js';
import { LEASE_TTL_MS } from './precedence.js';

/** What came of the requests for the lease. */
export interface LeaseTermOptions {
  readonly lease: Pick<BridgeLease, 'ask'>;
  /** Called when the lease could be asked for, and with what Redis says when it could not be for as long as it lasts. */
  readonly onLease?: ((error?: unknown) => void) | undefined;
}

/**
 * How long this pod may believe that it holds the lease, by its own clock: its time to live, counted from when the last
 * request that was granted was sent. In Redis it lasts at least as long.
 */
export class LeaseTerm {
  readonly #options: LeaseTermOptions;
  #keptAtMs = 0;
  /** Requests that failed in a row: since when, how many, and what Redis said to the last one. */
  #refused: { readonly sinceMs: number; readonly times: number; readonly error: unknown } | undefined;

  constructor(options: LeaseTermOptions) {
    this.#options = options;
  }

  /**
   * Asks for the lease, or keeps it.
   *
   * @throws what Redis or the connection says
   */
  async ask(request: Omit<BridgeLeaseRequest, 'ttlMs'>): Promise<BridgeLeaseAnswer> {
    const { lease, onLease } = this.#options;
    const sentAtMs = performance.now();
    try {
      const answer = await lease.ask({ ...request, ttlMs: LEASE_TTL_MS });
      this.#refused = undefined;
      onLease?.();
      return answer;
    } catch (error) {
      const { sinceMs = sentAtMs, times = 0 } = this.#refused ?? {};
      this.#refused = { sinceMs, times: times + 1, error };
      throw error;
    }
  }

  /** Notes that a request was granted. @param sentAtMs - when it was sent, or before */
  kept(sentAtMs: number): void {
    this.#keptAtMs = sentAtMs;
  }

  /** Notes that there is no link: nobody asks meanwhile. */
  unlinked(): void {
    this.#refused = undefined;
  }

  /** Why a lease that was held is over; `undefined` while it lasts. */
  overBecause(nowMs: number): string | undefined {
    if (nowMs - this.#keptAtMs < LEASE_TTL_MS) return undefined;
    const why = this.#refused === undefined ? 'Redis has not answered' : messageOf(this.#refused.error);
    return `the lease could not be kept: ${why}`;
  }

  /** Reports requests that have failed for as long as the lease lasts. */
  report(nowMs: number): void {
    const refused = this.#refused;
    // One alone that has no answer may be a pause of this process.
    if (refused !== undefined && refused.times > 1 && nowMs - refused.sinceMs >= LEASE_TTL_MS)
      this.#options.onLease?.(refused.error);
  }
}
