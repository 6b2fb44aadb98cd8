import { ENGINE_PACKET } from './engine-packet.js';
import type { Socket as Connection } from 'engine.io';
import type { WebSocket } from 'uWebSockets.js';
import { FastConnection, type PingObserver } from './fast-connection.js';
import { insideOf } from './internals.js';

/** The connection as one of ours, or `undefined` if it is one of engine.io's. Socket.IO takes the one for the other. */
export function fastOf(connection: object): FastConnection | undefined {
  return connection instanceof FastConnection ? connection : undefined;
}

/** A connection of ours as Socket.IO knows connections: it behaves as one of engine.io's. */
export function asConnection(fast: FastConnection): Connection {
  return fast as unknown as Connection;
}

/** The uWebSockets.js socket of a connection, or `undefined` while it is on long-polling or no longer open. */
export function nativeSocket(connection: Connection): WebSocket<unknown> | undefined {
  const fast = fastOf(connection);
  if (fast !== undefined) return fast.native;
  if (connection.readyState !== 'open') return undefined;
  const { transport } = insideOf(connection);
  return transport.name === 'websocket' ? transport.socket : undefined;
}

/** Characters that wait for a client of engine.io's to poll, or to be taken by its WebSocket. */
export function waitingCharacters(connection: Connection): number {
  let size = 0;
  for (const { data } of insideOf(connection).writeBuffer) size += data?.length ?? 0;
  return size;
}

/** Bytes that wait to be read by a client; an estimate for one on long-polling. */
export function bufferedBytes(connection: Connection): number {
  const native = nativeSocket(connection);
  return native === undefined ? waitingCharacters(connection) : native.getBufferedAmount();
}

const observers = new WeakMap<object, PingObserver>();

/** Has an observer learn of the pings of a connection. Call it once. */
export function observePings(connection: Connection, observer: PingObserver): void {
  const fast = fastOf(connection);
  if (fast !== undefined) {
    fast.observer = observer;
    return;
  }
  observers.set(connection, observer);
  connection.on('packetCreate', ({ type }: { type: string }) => {
    if (type === 'ping') observer.onPing();
  });
  connection.on('heartbeat', () => observer.onPong());
}

/** Whether a connection of engine.io's has not answered a ping. */
export function owesPong(connection: object): boolean {
  return observers.get(connection)?.owesPong === true;
}

/** Sends a ping of Engine.IO, behind everything that was sent. @returns whether there is a WebSocket to send it on */
export function sendPing(connection: Connection): boolean {
  const native = nativeSocket(connection);
  native?.send(ENGINE_PACKET.ping);
  return native !== undefined;
}

/**
 * Sends packets in order, in one write where the transport can. The caller MUST make sure that there is room for them:
 * uWebSockets.js drops a packet that has none.
 *
 * @param packets - Socket.IO packets, encoded
 */
export function sendAll(connection: Connection, packets: readonly string[], compress: boolean): void {
  const native = nativeSocket(connection);
  if (native === undefined) {
    for (const packet of packets) connection.write(packet);
    return;
  }
  if (packets.length === 1) {
    native.send(ENGINE_PACKET.message + (packets[0] ?? ''), false, compress);
    return;
  }
  native.cork(() => {
    for (const packet of packets) native.send(ENGINE_PACKET.message + packet, false, compress);
  });
}

/** A packet that is sent to many clients. */
interface SharedPacket {
  readonly text: string;
  /** The message around it, once it was made. */
  bytes: Uint8Array | undefined;
}

/** The same as {@link sendAll} for packets that many clients get: the bytes of each are made once. */
export function sendFrames(connection: Connection, packets: readonly SharedPacket[], compress: boolean): void {
  const native = nativeSocket(connection);
  if (native === undefined) {
    for (const { text } of packets) connection.write(text);
    return;
  }
  native.cork(() => {
    for (const packet of packets) {
      packet.bytes ??= Buffer.from(ENGINE_PACKET.message + packet.text);
      native.send(packet.bytes, false, compress);
    }
  });
}
