import type { Logger } from 'pino';
import { faultOf } from './fault.js';
import { SIZE_COMMANDS, keyBase, kindOf } from './gateway-keys.js';
import { type LoadScript, type ScriptCommands, luaScript, scriptLoader } from './lua-script.js';

const setAsideScript = luaScript(new URL('./lua/set-aside.lua', import.meta.url));

/** A key that held something else than it should, and was renamed. */
export interface SetAside {
  readonly key: string;
  /** Its name now, `{prefix}:set-aside:<Unix time in ms>:<name>`. */
  readonly aside: string;
  /** What it holds; `unknown` if the user of Redis may not ask. */
  readonly holds: string;
}

/**
 * Sets keys aside that hold something else than they should.
 *
 * @param prefix - `REDIS_KEY_PREFIX`
 * @param keys - of that gateway; those of no gateway are left alone
 * @throws what Redis or the connection says
 */
export async function setAside(redis: ScriptCommands, prefix: string, keys: readonly string[]): Promise<SetAside[]> {
  const base = keyBase(prefix);
  const known = keys.flatMap((key) => {
    const kind = key.startsWith(base) ? kindOf(key.slice(base.length)) : undefined;
    return kind === undefined ? [] : [{ key, command: SIZE_COMMANDS[kind] }];
  });
  const args = [base, ...known.map(({ command }) => command)];
  const keyNames = known.map(({ key }) => key);
  const done = (await setAsideScript.run(redis, keyNames, args)) as string[];
  return Array.from({ length: done.length / 3 }, (_, i) => ({
    key: done[3 * i] ?? '',
    aside: done[3 * i + 1] ?? '',
    holds: done[3 * i + 2] || 'unknown',
  }));
}

/**
 * Keeps a gateway going when one of its keys was replaced by something else, by hand or by another program: what is there is
 * renamed, never deleted, and the gateway writes a new key.
 */
export class KeyCare {
  readonly #prefix: string;
  readonly #log: Logger;

  /** @param prefix - `REDIS_KEY_PREFIX` */
  constructor(prefix: string, log: Logger) {
    this.#prefix = prefix;
    this.#log = log;
  }

  /**
   * Sets aside what does not belong under these keys.
   *
   * @throws what Redis or the connection says; NOPERM if the user of Redis may not rename
   */
  async check(redis: ScriptCommands, keys: readonly string[]): Promise<void> {
    for (const one of await setAside(redis, this.#prefix, keys)) {
      this.#log.warn({ ...one }, 'a key of this gateway held something else; it was set aside');
    }
  }

  /**
   * Runs a script or command, and once more if it met a key with something else. It MUST have changed nothing then that
   * must not be done twice.
   */
  async run<T>(redis: ScriptCommands, keys: readonly string[], work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (faultOf(error).code !== 'wrong_type') throw error;
      await this.check(redis, keys);
      return work();
    }
  }

  /** Loads scripts of which each is run as {@link run} does. */
  loader(redis: ScriptCommands): LoadScript {
    const load = scriptLoader(redis);
    return (file, ...passages) => {
      const script = load(file, ...passages);
      return (keys, args) => this.run(redis, keys, () => script(keys, args));
    };
  }
}
