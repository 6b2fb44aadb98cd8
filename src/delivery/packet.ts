import type { Gap, ServerToClientEvents } from '../contract/events.js';
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

/** Encodes an entry of the journal with its offset; of one that was deleted, a `gap` that says so. */
export function encodeEntry(entry: JournalEntry): string {
  if (entry.deleted) {
    const requested = formatOffset({ epoch: entry.epoch, seq: entry.seq - 1 });
    const gap: Gap = { reason: 'deleted', requested, resumed: formatOffset(entry) };
    return encodeEvent('gap', JSON.stringify(gap));
  }
  return encodeEvent(entry.event, entry.json, formatOffset(entry));
}
