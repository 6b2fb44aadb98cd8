import type { LoadScript, RunScript } from '../redis/lua-script.js';
import type { Rejection, RejectionStore } from './rejections.js';

/** Most rejections kept in Redis. */
const KEPT = 1000;

/** Keeps the newest rejections as JSON in the list `{prefix}:rejected`, newest first. */
export class RedisRejectionStore implements RejectionStore {
  readonly #keep: RunScript;
  readonly #key: string;
  readonly #pod: string;

  constructor(load: LoadScript, keyPrefix: string, pod: string) {
    this.#keep = load(new URL('./lua/keep-rejection.lua', import.meta.url));
    this.#key = `{${keyPrefix}}:rejected`;
    this.#pod = pod;
  }

  keep(rejection: Rejection): void {
    // Losing a sample is fine: the counter has it. The link's own trouble is reported where the link is watched.
    this.#keep([this.#key], [JSON.stringify({ pod: this.#pod, ...rejection }), KEPT]).catch(() => {});
  }
}
