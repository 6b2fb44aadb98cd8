import type { RedisFaultCode } from '../redis/fault.js';
import type { LostAspect } from '../redis/redis-state.js';

/** Causes while Redis can be reached, in words for clients: no addresses, no commands. */
const CAUSES: Readonly<Partial<Record<RedisFaultCode, string>>> = {
  no_permission: 'the gateway lacks a right in Redis',
  read_only: 'Redis is read-only',
  no_replicas: 'Redis has too few replicas',
  out_of_memory: 'Redis is out of memory',
  disk: 'Redis cannot save to its disk',
  slot: 'Redis is moving its keys',
  cluster_down: 'a part of the Redis cluster is down',
  loading: 'Redis is busy',
  wrong_type: 'a key in Redis is damaged',
  not_heard: 'the gateway does not hear what is published',
};

/** What a loss means for clients, and its cause. */
export function lossInWords({ aspect, fault }: LostAspect): string {
  const cause = CAUSES[fault.code];
  if (cause === undefined) return 'The link to Redis is lost; signals are late until it is back.';
  return aspect === 'append'
    ? `New signals are refused or late: ${cause}.`
    : `Signals are late until this is over: ${cause}.`;
}
