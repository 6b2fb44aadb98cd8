import { keyBase } from '../redis/gateway-keys.js';

/** The keys of one gateway's journal; all in one hash slot. */
export interface JournalKeys {
  /**
   * Hash: current `epoch`; `seq` of the newest entry; `run` and `replid` of the Redis that the epoch was last seen on;
   * `start`, the `seq` after which the epoch began; `before`, the `seq` of the newest entry before it; `from`, `fromEpoch`,
   * `lost` and `broken`, what its first entry tells and why (see epoch.lua and fork.lua); `token` and number of the newest `batch` of a
   * lease holder.
   */
  readonly meta: string;
  /** Stream of entries, ids `<seq>-0`. */
  readonly journal: string;
  /** Stream: what is left of entries that were deleted, in the order of their deletion, and why they were. */
  readonly deletions: string;
  /** Hash: newest status of every service, `<epoch>:<seq> <json>`. */
  readonly statuses: string;
  /** String with a time to live: the token of the pod that bridges Pub/Sub. */
  readonly lease: string;
  /** Hash: whether the lease was `released` with nothing left to append; `run` id of the Redis on which it was taken. */
  readonly bridge: string;
  /** String with a time to live: the pod that has heard what the holder has not, and claims the lease. */
  readonly claim: string;
  /** Hash: how far each source stream has been read, `<id> <count>`; written by the append that takes its entries in. */
  readonly sources: string;
  /** Prefix of hashes with a time to live: `fingerprint`, `epoch` and `first` number of a named request. */
  readonly request: string;
  /** Stream and hash with a time to live, written to find out whether an append would be carried out. */
  readonly probe: string;
  readonly probed: string;
}

/** @param prefix - `REDIS_KEY_PREFIX` */
export function journalKeys(prefix: string): JournalKeys {
  const key = (name: string): string => keyBase(prefix) + name;
  return {
    meta: key('meta'),
    journal: key('journal'),
    deletions: key('deletions'),
    statuses: key('statuses'),
    lease: key('lease'),
    bridge: key('bridge'),
    claim: key('claim'),
    sources: key('sources'),
    request: key('request:'),
    probe: key('probe'),
    probed: key('probed'),
  };
}

/** The keys that a journal always has, or may have for long. */
export function lastingKeys(keys: JournalKeys): string[] {
  const { meta, journal, deletions, statuses, sources, lease, bridge, claim } = keys;
  return [meta, journal, deletions, statuses, sources, lease, bridge, claim];
}
