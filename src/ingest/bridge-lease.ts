/**
 * The outcome of a request for the lease:
 * - `held`: this pod held it before, and keeps it;
 * - `acquired`: this pod has it now;
 * - `handed-over`: the same, and the holder before had nothing left to append;
 * - `other`: another pod holds it;
 * - `wait`: it is free, but not for this pod yet;
 * - `yield`: this pod holds it, and another pod claims it.
 */
export type BridgeLeaseAnswer = 'held' | 'acquired' | 'handed-over' | 'other' | 'wait' | 'yield';

/** How this pod asks for the lease. */
export interface BridgeLeaseRequest {
  /** Names the holder. A pod makes a new one each time that it takes the lease. */
  readonly token: string;
  /** Time until the lease is free again unless it is kept. */
  readonly ttlMs: number;
  /** Whether this pod may take the lease from a holder that ended without releasing it. */
  readonly mayTakeOver: boolean;
  /** Whether this pod has heard what the holder has not. */
  readonly claims: boolean;
}

/** The lease that says which pod bridges Pub/Sub into the journal. */
export interface BridgeLease {
  /**
   * Asks for the lease, or keeps it. At most one token MUST hold it at a time.
   *
   * @throws when it cannot be asked for
   */
  ask(request: BridgeLeaseRequest): Promise<BridgeLeaseAnswer>;

  /**
   * Gives the lease back. MUST do nothing when another token holds it by now.
   *
   * @param isClean - nothing that was heard is left to append
   * @throws when it cannot be given back; it expires by itself then
   */
  release(token: string, isClean: boolean): Promise<void>;
}
