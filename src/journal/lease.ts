/**
 * What the answer to a request for the lease of the bridge can be: `held` by the caller before, `acquired`, `handed-over`
 * (acquired from a holder that had nothing left to append), held by an `other`, `wait` (free, but not for the caller
 * yet), or `yield` (held by the caller, and claimed by another).
 */
export type LeaseAnswer = 'held' | 'acquired' | 'handed-over' | 'other' | 'wait' | 'yield';

/** Who asks for the lease of the bridge, and how. */
export interface LeaseRequest {
  readonly token: string;
  /** ms until it is free again unless it is kept. */
  readonly ttl: number;
  /** Whether it may be taken from a holder that ended without releasing it. */
  readonly mayTakeOver: boolean;
  /** Whether this pod has heard what the holder has not. */
  readonly claims: boolean;
}
