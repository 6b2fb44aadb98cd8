/** What is not longer is decoded without a look: it cannot hold up the loop. */
const LOOKED_AT_LENGTH = 16_384;

/** Values of a long message, and how deep they may nest: many times what any choice of topics has. */
const MAX_VALUES = 8192;
const MAX_DEPTH = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/**
 * Whether a message would take far longer to decode than one of its length has to: a mebibyte of brackets takes half a
 * second, while a mebibyte of topics takes some milliseconds. Whether it is JSON is not looked at.
 *
 * @param text - a packet of Socket.IO
 */
export function isCostly(text: string): boolean {
  if (text.length <= LOOKED_AT_LENGTH) return false;
  let values = 0;
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isInString) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) isInString = false;
    } else if (code === QUOTE) isInString = true;
    else if (code === COMMA) {
      if (++values > MAX_VALUES) return true;
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > MAX_DEPTH || ++values > MAX_VALUES) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}
