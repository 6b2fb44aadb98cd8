import type { ConnectError } from './connect.js';
import type { FeedEvent, Gap, ServerToClientEvents, SubscribeAnswer } from './events.js';
import { type Offset, formatOffset, formatPlace } from './offset.js';

/** Types of Socket.IO packets. Each packet begins with its type, as a digit. */
export const PACKET_TYPE = { connect: 0, event: 2, ack: 3, connectError: 4, binaryEvent: 5, binaryAck: 6 } as const;

/** What most clients begin with: CONNECT to the default namespace, without `auth`. */
export const PLAIN_CONNECT = '0';

/** What {@link encodeEntry} needs of an entry of the journal. */
export interface EncodableEntry extends Offset {
  readonly event: FeedEvent;
  /** The payload, as JSON text. */
  readonly json: string;
  /** Set if the entry was deleted. */
  readonly deleted?: true;
}

/**
 * Encodes an event of the default namespace around JSON text that exists already.
 *
 * Like everything here it makes the text of a Socket.IO packet (Socket.IO protocol v5,
 * https://socket.io/docs/v4/socket-io-protocol/), without the Engine.IO packet around it.
 *
 * @param json - the first argument, as JSON text
 * @param offset - the last argument, if the event has one
 */
export function encodeEvent(event: keyof ServerToClientEvents, json: string, offset?: string): string {
  return offset === undefined ? `2["${event}",${json}]` : `2["${event}",${json},"${offset}"]`;
}

/**
 * Encodes an entry of the journal with its offset. A deleted entry becomes a `gap` with the reason `deleted`.
 *
 * @param hasChosen - whether it is for clients that have chosen topics while connected
 */
export function encodeEntry(entry: EncodableEntry, hasChosen = false): string {
  if (entry.deleted) {
    const requested = formatOffset({ epoch: entry.epoch, seq: entry.seq - 1 });
    return encodeGap({ reason: 'deleted', requested, resumed: formatOffset(entry) });
  }
  return encodeEvent(entry.event, entry.json, formatPlace(entry, hasChosen));
}

/** Encodes a `gap`. */
export function encodeGap(gap: Gap): string {
  return encodeEvent('gap', JSON.stringify(gap));
}

/** Encodes a `checkpoint`. @param hasChosen - as in {@link encodeEntry} */
export function encodeCheckpoint(head: Offset, hasChosen = false): string {
  return encodeEvent('checkpoint', JSON.stringify(formatPlace(head, hasChosen)));
}

/**
 * Encodes the answer to a CONNECT that was accepted.
 *
 * @param sid - MUST have no character that JSON escapes, and `pid` neither
 */
export function encodeConnect(sid: string, pid: string): string {
  return `0{"sid":"${sid}","pid":"${pid}"}`;
}

/** Encodes the answer to a CONNECT that was refused. */
export function encodeConnectError(error: ConnectError, namespace?: string): string {
  return `4${prefix(namespace)}${JSON.stringify(error)}`;
}

/**
 * Encodes the acknowledgement of an event.
 *
 * @param id - as it was in the event
 */
export function encodeAck(id: string, answer: SubscribeAnswer, namespace?: string): string {
  return `3${prefix(namespace)}${id}${JSON.stringify([answer])}`;
}

/** Whether a packet is a CONNECT. Looks at its type alone. */
export function isConnect(packet: string): boolean {
  return packet.charCodeAt(0) === 0x30;
}

/** Whether a packet is followed by binary attachments. Looks at its type alone. */
export function hasAttachments(packet: string): boolean {
  const type = packet.charCodeAt(0);
  return type === 0x35 || type === 0x36;
}

/** What the beginning of a packet from a client says. */
export type PacketHead =
  | { readonly type: typeof PACKET_TYPE.connect; readonly namespace: string | undefined }
  | {
      readonly type: typeof PACKET_TYPE.event;
      readonly namespace: string | undefined;
      /** The number of the acknowledgement, if one is asked for. */
      readonly id: string | undefined;
      readonly event: string;
    };

const CONNECT_HEAD = /^0(\/[^,{]*)?,?\{/;
const EVENT_HEAD = /^2(?:(\/[^,[]*),)?(\d{1,15})?\["([^"\\]*)"/;

/**
 * Reads the beginning of a packet, which may end anywhere.
 *
 * @returns `undefined` if it is neither a CONNECT with `auth` nor an event, or the beginning is too short to tell
 */
export function readHead(head: string): PacketHead | undefined {
  const connect = CONNECT_HEAD.exec(head);
  if (connect !== null) return { type: PACKET_TYPE.connect, namespace: connect[1] };
  const event = EVENT_HEAD.exec(head);
  if (event === null) return undefined;
  return { type: PACKET_TYPE.event, namespace: event[1], id: event[2], event: event[3] ?? '' };
}

/** The part of a packet that names its namespace. The default namespace is not named. */
function prefix(namespace: string | undefined): string {
  return namespace === undefined ? '' : `${namespace},`;
}
