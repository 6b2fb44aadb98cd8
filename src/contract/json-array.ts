/**
 * Cuts the text of a JSON array into the texts of its items, so that each can be forwarded as it was sent. Parsing and
 * serialising again would change numbers that a double cannot hold.
 *
 * @param text - a JSON array that `JSON.parse` has accepted; what comes back for anything else is undefined
 * @returns the text of each item, without the white space around it (grammar: RFC 8259, section 5)
 */
export function splitJsonArray(text: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let inString = false;
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === '\\') i++;
      else if (char === '"') inString = false;
      continue;
    }
    if (depth === 1 && (char === ',' || char === ']')) {
      const item = text.slice(start, i).trim();
      // An empty array has no comma and nothing but white space between its brackets.
      if (item !== '') items.push(item);
      start = i + 1;
    }
    if (char === '"') inString = true;
    else if (char === '[' || char === '{') {
      depth++;
      if (depth === 1) start = i + 1;
    } else if (char === ']' || char === '}') depth--;
  }
  return items;
}

const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The place of the first byte from `at` on that is not white space. */
function afterSpaces(bytes: Uint8Array, at: number): number {
  while (SPACES.has(bytes[at] ?? 0)) at++;
  return at;
}

/**
 * Cuts the bytes of what may be a JSON array into those of its items, one at a time, so that a long one need not be worked on in
 * one go. It is an array if it comes to its end and every item is JSON.
 */
export class JsonArrayItems {
  /** Whether the array was read to its end, and nothing but white space follows. */
  isWhole = false;
  readonly #bytes: Buffer;
  #at: number;
  /** Whether an item has to come: after a comma, it does. */
  #isFirst = true;

  /** @param bytes - valid UTF-8: what this looks for is ASCII, and no byte of another character is */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const start = afterSpaces(bytes, 0);
    this.#at = bytes[start] === OPEN_BRACKET ? start + 1 : bytes.length;
  }

  /** The text of the next item without the white space around it; `undefined` when there is none, for whatever reason. */
  next(): string | undefined {
    const bytes = this.#bytes;
    const start = afterSpaces(bytes, this.#at);
    const end = endOfItem(bytes, start);
    if (end === undefined) return undefined;
    this.#at = end + 1;
    const isLast = bytes[end] === CLOSE_BRACKET;
    if (isLast) this.isWhole = afterSpaces(bytes, end + 1) === bytes.length;
    const isEmpty = end === start;
    const isArray = !isEmpty || (isLast && this.#isFirst);
    this.#isFirst = false;
    if (!isArray) this.isWhole = false;
    if (isLast || !isArray) this.#at = bytes.length;
    if (isEmpty) return undefined;
    let last = end;
    while (SPACES.has(bytes[last - 1] ?? 0)) last--;
    return bytes.toString('utf8', start, last);
  }
}

/** The place of the comma or bracket after an item. */
function endOfItem(bytes: Buffer, start: number): number | undefined {
  let depth = 0;
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) i = endOfString(bytes, i + 1);
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if (depth > 0) {
      if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
    } else if (byte === COMMA || byte === CLOSE_BRACKET) return i;
  }
  return undefined;
}

/** The place of the quote that ends a string. @param start - right after the one that begins it */
function endOfString(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (end - slashes > start && bytes[end - slashes - 1] === BACKSLASH) slashes++;
    // Two of them stand for one; one that is left over escapes the quote.
    if (slashes % 2 === 0) return end;
  }
  return bytes.length;
}
