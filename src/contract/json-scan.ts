/** What an object may not have. */
export interface ScanRules {
  /** Fields that may appear only once; at most 31. */
  readonly once: readonly string[];
  /** Most levels of objects and arrays, the object itself among them. */
  readonly maxDepth: number;
}

/** Why readers may disagree about an object. */
export interface ScanFault {
  /** `duplicate`: the field appears twice. `depth`: objects and arrays nest too deep in it. */
  readonly kind: 'duplicate' | 'depth';
  /** A name at the top level. */
  readonly field: string;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Whether a character stands more often than so many times. */
function hasMoreThan(text: string, character: string, times: number): boolean {
  let at = -1;
  for (let i = 0; i <= times; i++) {
    at = text.indexOf(character, at + 1);
    if (at < 0) return false;
  }
  return true;
}

/**
 * Whether there is nothing to look for, which is so for most messages and found out by a few native searches: every
 * member but the first needs a comma, so where there are no more than those that `JSON.parse` has kept need, it has dropped
 * none; and what has few brackets cannot nest deep.
 */
function isPlain(text: string, members: number, maxDepth: number): boolean {
  const half = maxDepth / 2;
  return !hasMoreThan(text, ',', members - 1) && !hasMoreThan(text, '{', half) && !hasMoreThan(text, '[', half);
}

/** The place of the quote that ends a string. @param start - right after the one that begins it */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (end - slashes > start && text.charCodeAt(end - slashes - 1) === BACKSLASH) slashes++;
    // Two of them stand for one; one that is left over escapes the quote.
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

/** The text of a string, which may be spelled with escapes, such as "s\u0079mbol". @param raw - without its quotes */
function unescaped(raw: string): string {
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/**
 * Looks through the text of a JSON object for what readers do not agree about (RFC 8259, sections 4 and 9): a name that
 * appears twice at the top level, of which `JSON.parse` uses the last and others the first; and nesting that is deeper
 * than other readers follow. One pass without recursion, whatever the text.
 *
 * @param text - a JSON object
 * @param value - what `JSON.parse` makes of it
 * @returns the first fault, or `undefined`
 */
export function scanObject(text: string, value: object, { once, maxDepth }: ScanRules): ScanFault | undefined {
  if (isPlain(text, Object.keys(value).length, maxDepth)) return undefined;
  let depth = 0;
  let seen = 0;
  /** Whether a string at the top level is a name. */
  let isName = false;
  let name = '';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const start = i + 1;
      i = endOfString(text, start);
      if (!isName || depth !== 1) continue;
      isName = false;
      name = unescaped(text.slice(start, i));
      const place = once.indexOf(name);
      if (place < 0) continue;
      if ((seen & (1 << place)) !== 0) return { kind: 'duplicate', field: name };
      seen |= 1 << place;
    } else if (code === COMMA) {
      // Below the top level it means nothing: a bracket and another comma come before the next name.
      isName = true;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > maxDepth) return { kind: 'depth', field: name };
      isName = true;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
    }
  }
  return undefined;
}
