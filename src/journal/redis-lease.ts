import type { KeyCare } from '../redis/key-care.js';
import type { ScriptCommands } from '../redis/lua-script.js';
import type { RedisClock } from './redis-clock.js';
import type { JournalKeys } from './redis-keys.js';
import { leaseScript, releaseScript } from './redis-scripts.js';

/**
 * What Redis answers to a request for the lease of the bridge:
 * - `held`: the caller held it before, and keeps it;
 * - `acquired`: the caller has it now;
 * - `handed-over`: the same, and the holder before had nothing left to append;
 * - `other`: another pod holds it;
 * - `wait`: it is free, but not for the caller yet;
 * - `yield`: the caller holds it, and another pod claims it.
 */
export type LeaseAnswer = 'held' | 'acquired' | 'handed-over' | 'other' | 'wait' | 'yield';

/** Who asks for the lease of the bridge, and how. */
export interface LeaseRequest {
  /** Names the holder; a pod makes a new one each time that it takes the lease. */
  readonly token: string;
  /** Time until the lease is free again unless it is kept. */
  readonly ttlMs: number;
  /** Whether the lease may be taken from a holder that ended without releasing it. */
  readonly mayTakeOver: boolean;
  /** Whether this pod has heard what the holder has not. */
  readonly claims: boolean;
}

/** How {@link RedisLease} is set up. */
export interface RedisLeaseOptions {
  /** A connection that fails at once while its link is down. */
  readonly commands: ScriptCommands;
  readonly keys: JournalKeys;
  /** A name that no other process has. */
  readonly pod: string;
  /** Set by each answer. */
  readonly clock: RedisClock;
  readonly care: KeyCare;
}

/** A claim that nobody has answered by then is void. */
const CLAIM_TTL_MS = 5000;

/**
 * The lease of the bridge: at most one pod holds it, and only its holder appends what is heard on Pub/Sub.
 *
 * It alone does not keep a pod from appending that lost the lease and does not know it yet: the append script checks the
 * token again.
 */
export class RedisLease {
  readonly #options: RedisLeaseOptions;

  constructor(options: RedisLeaseOptions) {
    this.#options = options;
  }

  /**
   * Asks for the lease, or keeps it.
   *
   * @throws what Redis or the connection says
   */
  async ask({ token, ttlMs, mayTakeOver, claims }: LeaseRequest): Promise<LeaseAnswer> {
    const { commands, keys, pod, clock, care } = this.#options;
    const args = [token, ttlMs, pod, mayTakeOver ? '1' : '0', claims ? '1' : '0', CLAIM_TTL_MS];
    const scriptKeys = [keys.lease, keys.bridge, keys.claim];
    const answered = await care.run(commands, scriptKeys, () => leaseScript.run(commands, scriptKeys, args));
    const [answer, unixMs] = answered as [LeaseAnswer, string];
    clock.set(Number(unixMs));
    return answer;
  }

  /**
   * Gives the lease back; does nothing if it is another pod's by now.
   *
   * @param isClean - nothing that was heard is left to append
   * @throws what Redis or the connection says; the lease expires by itself then
   */
  async release(token: string, isClean: boolean): Promise<void> {
    const { commands, keys } = this.#options;
    await releaseScript.run(commands, [keys.lease, keys.bridge], [token, isClean ? '1' : '0']);
  }
}
