import type { Logger } from 'pino';

/** What a line about a refusal says beside its code. Texts may be anything that came from outside. */
export type RefusalFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** How long the lines of one code are counted together. */
const WINDOW_MS = 10_000;

/** Different lines of one code that are written in a window; whatever comes beyond them is counted. */
const LINES_IN_WINDOW = 5;

/** Longest text from outside that is written, in characters. */
const MAX_TEXT_LENGTH = 200;

/** What was refused under one code since its window began. */
interface Window {
  /** The fields of the lines that were written, as received. */
  readonly written: RefusalFields[];
  leftOut: number;
  readonly timer: NodeJS.Timeout;
}

/** What would do something to a terminal, reorder a line or only look like something else is written as an escape. */
function escaped(text: string): string {
  const shown = text.replaceAll(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
  return shown.length > MAX_TEXT_LENGTH ? `${shown.slice(0, MAX_TEXT_LENGTH)}…` : shown;
}

/** What is longer is cut before it is compared or escaped character by character. */
function cut(value: RefusalFields[string]): RefusalFields[string] {
  return typeof value === 'string' && value.length > MAX_TEXT_LENGTH ? value.slice(0, MAX_TEXT_LENGTH + 1) : value;
}

/** Whether two refusals say the same. Nothing is escaped for that: a flood is one line again and again. */
function isSame(written: RefusalFields, fields: RefusalFields): boolean {
  for (const name in fields) if (written[name] !== cut(fields[name])) return false;
  for (const name in written) if (fields[name] === undefined) return false;
  return true;
}

/**
 * Writes refusals into the log so that an operator sees what came and a stranger cannot fill the disk: of each code, the
 * first of every kind in ten seconds, up to five kinds, and then one line that says how many were left out.
 */
export class RefusalLog {
  readonly #log: Logger;
  readonly #windows = new Map<string, Window>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Notes a refusal. One of a kind that was written already costs a fifth of a microsecond, so that a flood may be noted too.
   *
   * @param reason - a stable code of this gateway, never a text from outside: each has a timer while it is in use
   * @param fields - what was received, unchanged; texts are escaped and shortened here. MUST NOT hold a secret: no token, no
   *   query string, no cookie
   */
  note(reason: string, fields: RefusalFields = {}): void {
    const window = this.#windows.get(reason) ?? this.#open(reason);
    const { written } = window;
    if (written.length >= LINES_IN_WINDOW || written.some((before) => isSame(before, fields))) {
      window.leftOut++;
      return;
    }
    const kept: Record<string, string | number | boolean> = {};
    const line: Record<string, string | number | boolean> = {};
    for (const [name, value] of Object.entries(fields)) {
      const short = cut(value);
      if (short === undefined) continue;
      kept[name] = short;
      line[name] = typeof short === 'string' ? escaped(short) : short;
    }
    written.push(kept);
    this.#log.warn({ ...line, reason }, 'refused a client');
  }

  /** Writes what was left out so far. May be called twice; what is noted afterwards is written as before. */
  close(): void {
    for (const reason of this.#windows.keys()) this.#end(reason);
  }

  #open(reason: string): Window {
    const timer = setTimeout(() => this.#end(reason), WINDOW_MS).unref();
    const window: Window = { written: [], leftOut: 0, timer };
    this.#windows.set(reason, window);
    return window;
  }

  #end(reason: string): void {
    const window = this.#windows.get(reason);
    if (window === undefined) return;
    clearTimeout(window.timer);
    this.#windows.delete(reason);
    const { leftOut } = window;
    if (leftOut > 0) this.#log.warn({ reason, leftOut, seconds: WINDOW_MS / 1000 }, 'refused more clients');
  }
}
