import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { PublishedKeys } from './published-keys.js';
import { NOTHING_TAKEN, Rate } from './rate-limit.js';

/** How the keys of an issuer are kept fresh. */
export interface KeySetOptions {
  /** How long a set is used without asking again. @default 600_000 */
  readonly maxAgeMs?: number;
  /** How long a set is used while no newer one is available: a key may have been withdrawn meanwhile. @default 86_400_000 */
  readonly maxStaleMs?: number;
  /** Pause after an attempt that failed: while nothing is known, and while the keys that are known do. @default 1000, 30_000 */
  readonly retryMs?: number;
  readonly refreshRetryMs?: number;
  /** How long the issuer may take to answer. @default 5000 */
  readonly timeoutMs?: number;
  /** How often the issuer is asked because a token names a key that is not known. @default ten at once, then one in 5 s */
  readonly lookups?: Rate;
  /** Called with the reason when the issuer's keys become unavailable, and without one when they are available again. */
  readonly onChange?: (fault: string | undefined) => void;
}

/** Longest answer of an issuer that is read, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;

const DEFAULTS = {
  maxAgeMs: 600_000,
  maxStaleMs: 86_400_000,
  retryMs: 1000,
  refreshRetryMs: 30_000,
  timeoutMs: 5000,
  lookups: new Rate(0.2, 10),
  onChange: () => {},
} as const satisfies Required<KeySetOptions>;

/** A request for the keys that is under way. */
interface Fetching {
  readonly startedAtMs: number;
  readonly done: Promise<PublishedKeys>;
}

/**
 * The keys of a token issuer, asked for when they are needed first and when they are old.
 *
 * What was known stays in use while the issuer does not answer. That a key is unknown can be told only from a set that was
 * asked for after the token came: its key may have been published a second ago. {@link since} has such a set, and however
 * many tokens with made-up keys come, the issuer is asked no more often than `lookups` says; they wait for one another.
 */
export class KeySet {
  readonly #url: URL;
  readonly #options: Required<KeySetOptions>;
  #known: PublishedKeys | undefined;
  #fetching: Fetching | undefined;
  #failure: { readonly atMs: number; readonly error: Error } | undefined;
  #lookupsPaidAtMs = NOTHING_TAKEN;

  constructor(url: URL, options: KeySetOptions = {}) {
    this.#url = url;
    this.#options = { ...DEFAULTS, ...options };
  }

  /**
   * The keys as they are known.
   *
   * @throws when they are not known, and are unavailable right now
   */
  async current(): Promise<PublishedKeys> {
    const { maxAgeMs, maxStaleMs, retryMs, refreshRetryMs } = this.#options;
    const known = this.#known;
    const nowMs = performance.now();
    const ageMs = known === undefined ? Infinity : nowMs - known.askedAtMs;
    if (known !== undefined && ageMs < maxAgeMs) return known;
    const isUsable = known !== undefined && ageMs < maxStaleMs;
    const failure = this.#failure;
    if (failure !== undefined && nowMs - failure.atMs < (isUsable ? refreshRetryMs : retryMs)) {
      if (isUsable) return known;
      throw failure.error;
    }
    try {
      return await this.#fetch().done;
    } catch (error) {
      if (isUsable) return known;
      throw error;
    }
  }

  /**
   * The keys as they were at a time or later.
   *
   * @param timeMs - by `performance.now()`
   * @throws when they are unavailable right now
   */
  async since(timeMs: number): Promise<PublishedKeys> {
    for (;;) {
      if (this.#known !== undefined && this.#known.askedAtMs >= timeMs) return this.#known;
      const fetching = this.#fetching;
      if (fetching !== undefined) {
        if (fetching.startedAtMs >= timeMs) return fetching.done;
        await fetching.done.catch(() => {});
        continue;
      }
      const waitMs = this.#takeLookup();
      if (waitMs === 0) return this.#fetch().done;
      await sleep(waitMs, undefined, { ref: false });
    }
  }

  /** @returns 0 when the issuer may be asked now, or ms after which that is to be tried again */
  #takeLookup(): number {
    const { lookups } = this.#options;
    const nowMs = performance.now();
    const paidAtMs = lookups.take(this.#lookupsPaidAtMs, 1, nowMs);
    if (paidAtMs === undefined) return Math.max(1, Math.ceil(lookups.waitMs(this.#lookupsPaidAtMs, nowMs)));
    this.#lookupsPaidAtMs = paidAtMs;
    return 0;
  }

  #fetch(): Fetching {
    return (this.#fetching ??= { startedAtMs: performance.now(), done: this.#load() });
  }

  async #load(): Promise<PublishedKeys> {
    const askedAtMs = performance.now();
    const { onChange } = this.#options;
    const former = this.#failure;
    try {
      this.#known = new PublishedKeys(await this.#ask(), askedAtMs);
      this.#failure = undefined;
      if (former !== undefined) onChange(undefined);
      return this.#known;
    } catch (cause) {
      const error = new Error(reasonOf(cause, this.#options.timeoutMs), { cause });
      this.#failure = { atMs: performance.now(), error };
      if (former === undefined) onChange(error.message);
      throw error;
    } finally {
      this.#fetching = undefined;
    }
  }

  async #ask(): Promise<unknown> {
    const response = await fetch(this.#url, {
      // The address is the only thing that says whose keys these are.
      redirect: 'manual',
      signal: AbortSignal.timeout(this.#options.timeoutMs),
      headers: { accept: 'application/json, application/jwk-set+json', 'user-agent': 'signal-gateway' },
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the issuer answered ${response.status} instead of its keys`);
    }
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of response.body ?? []) {
      size += part.byteLength;
      if (size > MAX_BODY_BYTES) throw new Error(`the issuer answered more than ${MAX_BODY_BYTES} bytes`);
      parts.push(part);
    }
    try {
      return JSON.parse(Buffer.concat(parts).toString());
    } catch (cause) {
      throw new Error('the issuer answered something that is not JSON', { cause });
    }
  }
}

/** Logs when an issuer's keys become unavailable, and when they are available again. */
export function keyFaults(log: Logger): (fault: string | undefined) => void {
  return (fault) => {
    if (fault === undefined) log.info('the keys of the token issuer are available again');
    else log.warn({ reason: fault }, 'cannot fetch the keys of the token issuer; the known keys stay in use');
  };
}

/** Without the address, which may be secret. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return 'the issuer cannot be asked';
  if (error.name === 'TimeoutError') return `the issuer did not answer within ${timeoutMs} ms`;
  // Of undici, which says more in the cause.
  const { code } = (error.cause ?? {}) as { code?: unknown };
  if (error instanceof TypeError) return `the issuer cannot be reached${typeof code === 'string' ? ` (${code})` : ''}`;
  return error.message;
}
