import type { Socket as Connection } from 'engine.io';
import { type Reader, UNREAD, mayRead, newReader } from '../../access/reading-rate.js';
import { PACKET_TYPE, isConnect, readHead } from '../../contract/packet.js';
import { ENGINE_PACKET } from './engine-packet.js';
import { HEAD_BYTES } from './oversized.js';

/** What an event is read as whose name or number cannot be told from its beginning; there is no such event. */
const NO_EVENT = `${PACKET_TYPE.event}["${UNREAD}"]`;

/** A short packet in place of one that is not read: the same event, whose only argument is `UNREAD`. */
function standIn(head: string): string {
  const what = readHead(head);
  if (what?.type !== PACKET_TYPE.event || what.namespace !== undefined) return NO_EVENT;
  return `${PACKET_TYPE.event}${what.id ?? ''}["${what.event}","${UNREAD}"]`;
}

/**
 * The text of a frame; if its sender has sent too much to read, that of a short one in its place. A CONNECT is always read:
 * there are few on one connection.
 */
export function textOfFrame(reader: Reader, frame: ArrayBuffer): string {
  const bytes = Buffer.from(frame);
  if (mayRead(reader, bytes.length, performance.now())) return bytes.toString();
  const head = bytes.subarray(0, HEAD_BYTES).toString();
  if (!head.startsWith(ENGINE_PACKET.message) || isConnect(head.slice(1))) return bytes.toString();
  return ENGINE_PACKET.message + standIn(head.slice(1));
}

/** Does the same for a connection of engine.io's. Call it before anybody else listens there, but for the guard of floods. */
export function limitReading(connection: Connection): void {
  const reader = newReader();
  // engine.io hands the packet on as it is after this event.
  connection.on('packet', (packet: { type: string; data?: unknown }) => {
    const { type, data } = packet;
    if (type !== 'message' || typeof data !== 'string' || mayRead(reader, data.length, performance.now())) return;
    if (!isConnect(data)) packet.data = standIn(data.slice(0, HEAD_BYTES));
  });
}
