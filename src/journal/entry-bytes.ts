import type { JournalEntry } from './journal.js';

/** What an entry takes beside its texts: its object and strings' headers, its place, and its number in the lists of two rooms. */
const ENTRY_BYTES = 300;

/**
 * What a text takes in memory at most. V8 keeps one byte a character, and two as soon as one character is beyond Latin-1; UTF-8
 * is as long as the text exactly if all are ASCII.
 */
export function textBytes(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
}

/** What an entry takes in memory, about. */
export function entryBytes({ json, symbol = '', timeframe = '', service = '' }: JournalEntry): number {
  return ENTRY_BYTES + textBytes(json) + 2 * (symbol.length + timeframe.length + service.length);
}
