import { createHash } from 'node:crypto';

/** The commands of a connection that scripts need. */
export interface ScriptCommands {
  evalsha(sha: string, keyCount: number, ...args: (string | number)[]): Promise<unknown>;
  eval(script: string, keyCount: number, ...args: (string | number)[]): Promise<unknown>;
}

/** A Lua script that is sent by its hash, and whole when Redis does not know it (after a restart or a failover). */
export class Script {
  readonly #source: string;
  readonly #sha: string;

  constructor(source: string) {
    this.#source = source;
    this.#sha = createHash('sha1').update(source).digest('hex');
  }

  /**
   * @returns what the script returned
   * @throws what Redis or the connection says
   */
  async run(redis: ScriptCommands, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      // NOSCRIPT is answered before anything runs, so the script has not been carried out.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return redis.eval(this.#source, keys.length, ...keys, ...args);
    }
  }
}
