import { clockScript } from './redis-scripts.js';
import type { ScriptCommands } from '../redis/lua-script.js';

/** The clock of Redis, as far as this process knows it: what Redis said last, and the time that has passed here since. */
export class RedisClock {
  readonly #commands: ScriptCommands;
  readonly #key: string;
  /** Redis's clock less this process's, at least; unknown until Redis has said it. */
  #aheadMs: number | undefined;

  /** @param key - any key of the journal; a cluster finds the node by it */
  constructor(commands: ScriptCommands, key: string) {
    this.#commands = commands;
    this.#key = key;
  }

  /** Notes what Redis has just said. @param unixMs - Unix time in ms */
  set(unixMs: number): void {
    this.#aheadMs = unixMs - Date.now();
  }

  /**
   * Unix time in ms. Asks Redis if it has said nothing so far.
   *
   * @throws what Redis or the connection says
   */
  async now(): Promise<number> {
    if (this.#aheadMs === undefined) {
      const unixMs = Number(await clockScript.run(this.#commands, [this.#key], []));
      this.#aheadMs ??= unixMs - Date.now();
    }
    return Date.now() + this.#aheadMs;
  }
}
