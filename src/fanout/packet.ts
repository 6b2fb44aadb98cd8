import type { ServerToClientEvents } from '../contract/events.js';
import { formatOffset } from '../contract/offset.js';
import type { JournalEntry } from '../journal/journal.js';

/**
 * Encodes a Socket.IO EVENT packet of the default namespace around JSON text that is at hand already.
 * Format: Socket.IO protocol v5, `2["event",arg,…]`.
 *
 * @param json - the first argument, as JSON text
 * @param offset - the last argument, if the event has one
 */
export function encodeEvent(event: keyof ServerToClientEvents, json: string, offset?: string): string {
  return offset === undefined ? `2["${event}",${json}]` : `2["${event}",${json},"${offset}"]`;
}

/** Encodes an entry of the journal with its offset. */
export function encodeEntry(entry: JournalEntry): string {
  return encodeEvent(entry.event, entry.json, formatOffset(entry));
}
