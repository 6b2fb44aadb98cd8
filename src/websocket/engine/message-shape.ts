import { MAX_PACKET_DEPTH } from '../../contract/events.js';
import { MAX_TOPICS } from '../../contract/topics.js';

/** A shorter message is decoded without a look: whatever is in it, that takes some 20 microseconds. */
const LOOKED_AT_LENGTH = 512;

/** Commas of a message: twice what the longest choice of topics has. Each takes some 20 nanoseconds to decode. */
const MAX_COMMAS = 2 * MAX_TOPICS;

/** Objects, arrays and fields of a message. Each takes some 100 nanoseconds to decode; a choice of topics has a handful. */
const MAX_PARTS = 256;

/**
 * What stands before the JSON of a long message: a type, a namespace, the number of an answer. Socket.IO's parser reads it
 * character by character, and takes blanks for digits of that number: 16 KB of them take a millisecond too.
 */
const HEAD = /^[^[{"]{0,255}[[{"]/;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Whether a message would take far longer to decode than one of its length has to: 16 KB of brackets take a millisecond
 * and a mebibyte of them half a second, while 16 KB of topics take some ten microseconds. Whether it is JSON is not
 * checked.
 *
 * @param text - a packet of Socket.IO
 */
export function isCostly(text: string): boolean {
  if (text.length < LOOKED_AT_LENGTH) return false;
  if (!HEAD.test(text)) return true;
  let commas = 0;
  let parts = 0;
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isInString) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) isInString = false;
      continue;
    }
    switch (code) {
      case QUOTE:
        isInString = true;
        break;
      case 0x2c: // ,
        if (++commas > MAX_COMMAS) return true;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > MAX_PACKET_DEPTH || ++parts > MAX_PARTS) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      case 0x3a: // :
        if (++parts > MAX_PARTS) return true;
        break;
    }
  }
  return false;
}
