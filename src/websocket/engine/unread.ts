import type { Socket as Connection } from 'engine.io';
import { type Reader, UNREAD, isCharged, mayRead, newReader } from '../../access/reading-rate.js';
import { PACKET_TYPE, readHead } from '../../contract/packet.js';
import { ENGINE_PACKET } from './engine-packet.js';
import { HEAD_BYTES } from './oversized.js';

/** The event whose arguments cost much to check. */
const COSTLY = 'subscribe';

/** A short `subscribe` in place of one that is not read, whose only argument is `UNREAD`; `undefined` for any other packet. */
function standIn(head: string): string | undefined {
  const what = readHead(head);
  if (what?.type !== PACKET_TYPE.event || what.event !== COSTLY || what.namespace !== undefined) return undefined;
  return `${PACKET_TYPE.event}${what.id ?? ''}["${COSTLY}","${UNREAD}"]`;
}

/** The text of a frame; if it is a `subscribe` of a sender that has sent too many, that of a short one in its place. */
export function textOfFrame(reader: Reader, frame: ArrayBuffer): string {
  const bytes = Buffer.from(frame);
  if (!isCharged(bytes.length)) return bytes.toString();
  const head = bytes.subarray(0, HEAD_BYTES).toString();
  const short = head.startsWith(ENGINE_PACKET.message) ? standIn(head.slice(1)) : undefined;
  if (short === undefined || mayRead(reader, bytes.length, performance.now())) return bytes.toString();
  return ENGINE_PACKET.message + short;
}

/** Does the same for a connection of engine.io's. Call it before anybody else listens there, but for the guard of floods. */
export function limitReading(connection: Connection): void {
  const reader = newReader();
  // engine.io hands the packet on as it is after this event.
  connection.on('packet', (packet: { type: string; data?: unknown }) => {
    const { type, data } = packet;
    if (type !== 'message' || typeof data !== 'string' || !isCharged(data.length)) return;
    const short = standIn(data.slice(0, HEAD_BYTES));
    if (short !== undefined && !mayRead(reader, data.length, performance.now())) packet.data = short;
  });
}
