import { setTimeout as sleep } from 'node:timers/promises';
import { type RedisFault, faultOf } from '../redis/fault.js';
import type { RedisState } from '../redis/redis-state.js';
import type { AppendResult } from './redis-appender.js';

/** How an {@link AppendWatch} is set up. */
export interface AppendWatchOptions {
  /** Resolves if an append would be carried out now; rejects with what Redis or the connection says. */
  readonly probe: () => Promise<unknown>;
  /** Gets what comes of it. */
  readonly state: Pick<RedisState, 'lost' | 'back'>;
}

/** How often it is probed while all is well and nothing is appended; with a jitter, so that pods spread out. */
const PROBE_EVERY_MS = 1000;
/** The same while it is not. */
const RETRY_EVERY_MS = 250;
/** A refusal shorter than this is not told: a slot of a cluster that is moved refuses for moments. */
const PATIENCE_MS = 1000;
/** A connection that closes so soon after a refusal closes because of it. */
const RELATED_MS = 5000;

interface Suspicion {
  /** When the first attempt that failed was sent. */
  readonly sinceMs: number;
  /** When its failure came to light: only what was sent later confirms it. */
  readonly knownAtMs: number;
}

/**
 * Watches whether the journal takes appends: by the appends themselves, by a probe where there are none, and by the
 * connection that carries both.
 *
 * The loss of the connection counts at once. A refusal, or no answer, counts once it has lasted for about a second and
 * was confirmed by a second attempt. Only an attempt that has worked ends either.
 */
export class AppendWatch {
  readonly #options: AppendWatchOptions;
  readonly #stop = new AbortController();
  #isConnected = false;
  /** An attempt has worked since the connection was made, and none was refused for long since. */
  #works = false;
  #fault: RedisFault | undefined;
  #leaseFault: RedisFault | undefined;
  #suspicion: Suspicion | undefined;
  #refusal: { readonly fault: RedisFault; readonly atMs: number } | undefined;
  #workedAtMs = -Infinity;
  #probing: Promise<void> | undefined;

  constructor(options: AppendWatchOptions) {
    this.#options = options;
  }

  /** Notes that the connection is up: whether appends work is yet to be seen. */
  connected(): void {
    this.#isConnected = true;
    this.#suspicion = undefined;
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
  }

  /** Notes that the connection is lost, or could not be made. @param error - left out where it just ended */
  disconnected(error?: unknown): void {
    this.#isConnected = false;
    this.#works = false;
    const refusal = this.#refusal;
    const isRelated = refusal !== undefined && performance.now() - refusal.atMs < RELATED_MS;
    if (error !== undefined) this.#fault = faultOf(error);
    else if (isRelated) this.#fault = refusal.fault;
    else this.#fault ??= faultOf(new Error('the connection for commands was closed'));
    this.#tell();
  }

  /** Notes what came of an append. */
  noted({ sentAtMs, error }: AppendResult): void {
    const nowMs = performance.now();
    if (error === undefined) {
      if (!this.#isConnected) return;
      this.#workedAtMs = nowMs;
      this.#suspicion = undefined;
      this.#refusal = undefined;
      this.#fault = undefined;
      this.#works = true;
      this.#tell();
      return;
    }
    // What a closed connection says is told by the connection, with its reason.
    if (!this.#isConnected) return;
    const fault = faultOf(error);
    if (fault.code !== 'unreachable') this.#refusal = { fault, atMs: nowMs };
    this.#suspicion ??= { sinceMs: sentAtMs, knownAtMs: nowMs };
    const { sinceMs, knownAtMs } = this.#suspicion;
    if (sentAtMs < knownAtMs || nowMs - sinceMs < PATIENCE_MS) return;
    this.#works = false;
    this.#fault = fault;
    this.#tell();
  }

  /** Notes whether the lease can be asked for: nothing heard on Pub/Sub is appended without. */
  lease(error?: unknown): void {
    this.#leaseFault = error === undefined ? undefined : faultOf(error);
    this.#tell();
  }

  /** Ends the probes. May be called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#probing;
  }

  #tell(): void {
    const { state } = this.#options;
    const fault = this.#fault ?? this.#leaseFault;
    if (fault !== undefined) state.lost('append', fault);
    else if (this.#works) state.back('append');
  }

  async #probe(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#isConnected && !signal.aborted) {
      const sentAtMs = performance.now();
      if (!this.#works || sentAtMs - this.#workedAtMs >= PROBE_EVERY_MS / 2) {
        await this.#options.probe().then(
          () => this.noted({ sentAtMs }),
          (error: unknown) => this.noted({ sentAtMs, error }),
        );
      }
      const isWell = this.#works && this.#suspicion === undefined;
      const waitMs = isWell ? PROBE_EVERY_MS * (0.75 + Math.random() / 2) : RETRY_EVERY_MS;
      await sleep(waitMs, undefined, { signal }).catch(() => {});
    }
  }
}
