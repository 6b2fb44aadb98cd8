import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** An argument of a script. Where one is bytes, ioredis does not put the whole command into one text. */
export type ScriptArgument = string | number | Buffer;

/** The commands of a connection that scripts need. */
export interface ScriptCommands {
  evalsha(sha: string, keyCount: number, ...args: ScriptArgument[]): Promise<unknown>;
  eval(script: string, keyCount: number, ...args: ScriptArgument[]): Promise<unknown>;
}

/** Runs one script on the connection that it was loaded for. Resolves to what the script answers. */
export type RunScript = (keys: readonly string[], args: readonly ScriptArgument[]) => Promise<unknown>;

/** Loads a script, as {@link luaScript} does, for parts that need not know on which connection it runs. */
export type LoadScript = (file: URL, ...passages: readonly URL[]) => RunScript;

/**
 * A Lua script that is sent by its hash, and whole when Redis does not know it (after a restart or a failover).
 *
 * Redis runs a script as one atomic step: nobody sees it half done. The header of each `.lua` file says what has to be one
 * step, and why.
 */
export class LuaScript {
  readonly source: string;
  /** What Redis knows it by once it has seen it. */
  readonly sha: string;

  /** @param source - Lua 5.1 as Redis runs it */
  constructor(source: string) {
    this.source = source;
    this.sha = createHash('sha1').update(source).digest('hex');
  }

  /**
   * @returns what the script answers
   * @throws what Redis or the connection says
   */
  async run(redis: ScriptCommands, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.sha, keys.length, ...keys, ...args);
    } catch (error) {
      // NOSCRIPT is answered before anything runs, so the script has not been carried out.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return redis.eval(this.source, keys.length, ...keys, ...args);
    }
  }
}

/**
 * Reads a script. Call it at start: the event loop waits for the disk meanwhile.
 *
 * @param file - `new URL('./lua/<name>.lua', import.meta.url)`; the build copies `.lua` files beside the modules
 * @param passages - files with functions that the script shares with others; they go in front of it
 * @throws when a file cannot be read
 */
export function luaScript(file: URL, ...passages: readonly URL[]): LuaScript {
  return new LuaScript([...passages, file].map((one) => readFileSync(one, 'utf8')).join('\n'));
}

/** Loads scripts that run on one connection. */
export function scriptLoader(redis: ScriptCommands): LoadScript {
  return (file, ...passages) => {
    const script = luaScript(file, ...passages);
    return (keys, args) => script.run(redis, keys, args);
  };
}
