/** What the answer to a request for the lease of the bridge can be. */
export type LeaseAnswer = 'held' | 'acquired' | 'other' | 'wait' | 'yield';

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
