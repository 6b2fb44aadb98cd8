import type { Rejection, RejectionStore } from './rejections.js';

/** The commands this store needs of a Redis connection. */
export interface ListCommands {
  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown>;
}

/** Rejections kept in Redis. */
const KEPT = 1000;

const PUSH = `redis.call('LPUSH', KEYS[1], ARGV[1]) redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)`;

/** Keeps the newest rejections as JSON in the list `{prefix}:rejected`, newest first. */
export class RedisRejectionStore implements RejectionStore {
  readonly #redis: ListCommands;
  readonly #key: string;
  readonly #pod: string;

  constructor(redis: ListCommands, keyPrefix: string, pod: string) {
    this.#redis = redis;
    this.#key = `{${keyPrefix}}:rejected`;
    this.#pod = pod;
  }

  keep(rejection: Rejection): void {
    // Losing a sample is fine: the counter has it. The link's own trouble is reported where the link is watched.
    this.#redis.eval(PUSH, 1, this.#key, JSON.stringify({ pod: this.#pod, ...rejection }), KEPT).catch(() => {});
  }
}
