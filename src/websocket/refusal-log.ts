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
  /** Fields of the lines that were written. */
  readonly written: Set<string>;
  leftOut: number;
  readonly timer: NodeJS.Timeout;
}

/** What would do something to a terminal, reorder a line or only look like something else is written as an escape. */
function escaped(text: string): string {
  const shown = text.replaceAll(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
  return shown.length > MAX_TEXT_LENGTH ? `${shown.slice(0, MAX_TEXT_LENGTH)}…` : shown;
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
   * Notes a refusal. Cheap when called ten thousand times a second.
   *
   * @param reason - a stable code of this gateway, never a text from outside: each has a timer while it is in use
   * @param fields - what came, as it came; texts are escaped and shortened here. MUST NOT hold a secret: no token, no
   *   query string, no cookie
   */
  note(reason: string, fields: RefusalFields = {}): void {
    const window = this.#windows.get(reason) ?? this.#open(reason);
    if (window.written.size >= LINES_IN_WINDOW) {
      window.leftOut++;
      return;
    }
    const line: Record<string, string | number | boolean> = {};
    for (const [name, value] of Object.entries(fields)) {
      // What is longer is cut before it is looked at character by character.
      if (typeof value === 'string') line[name] = escaped(value.slice(0, MAX_TEXT_LENGTH + 1));
      else if (value !== undefined) line[name] = value;
    }
    const kind = JSON.stringify(line);
    if (window.written.has(kind)) {
      window.leftOut++;
      return;
    }
    window.written.add(kind);
    this.#log.warn({ ...line, reason }, 'refused a client');
  }

  /** Writes what was left out so far. May be called twice; what is noted afterwards is written as before. */
  close(): void {
    for (const reason of this.#windows.keys()) this.#end(reason);
  }

  #open(reason: string): Window {
    const timer = setTimeout(() => this.#end(reason), WINDOW_MS).unref();
    const window: Window = { written: new Set(), leftOut: 0, timer };
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
