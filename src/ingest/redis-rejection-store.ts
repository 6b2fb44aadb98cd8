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
    // A sample may be lost: the counter has it. Trouble of the link is reported where the link is watched.
    this.#keep([this.#key], [JSON.stringify({ pod: this.#pod, ...rejection }), KEPT]).catch(() => {});
  }
}
