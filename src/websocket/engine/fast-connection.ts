import { EventEmitter } from 'node:events';
import type { WebSocket } from 'uWebSockets.js';
import { type HandshakeRequest, withoutHeaders } from './handshake.js';
import type { WriteOptions } from './internals.js';
import { ENGINE_PACKET } from './engine-packet.js';
import { sessionId } from './session-id.js';
import type { HeartbeatMember } from './heartbeat.js';
import type { EngineEndReason } from '../../connection-ends.js';
import type { FrameKind, Sender } from '../../access/flood-guard.js';
import { NOTHING_TAKEN } from '../../access/rate-limit.js';
import type { Reader } from '../../access/reading-rate.js';
import { textOfFrame } from './unread.js';

/** The server that opened a connection, as the connection uses it. */
export interface ConnectionOwner {
  /** The heartbeat's clock. */
  readonly nowTick: number;
  /** Whether a frame of so many bytes may be processed; if not, the connection has been closed. */
  admits(connection: FastConnection, bytes: number, kind: FrameKind): boolean;
  /** MUST be called when it is closed: it is neither pinged nor counted any more. */
  closed(connection: FastConnection): void;
}

/** Takes the messages of a connection. */
export interface Receiver {
  onMessage(data: string | Buffer): void;
  /** Called once. */
  onClose(reason: EngineEndReason, description?: Error): void;
}

/** Learns of pings: how far a client has read what was sent to it. */
export interface PingObserver {
  /** Called when a ping was sent, unless the observer has sent it itself. */
  onPing(): void;
  /** Called for every answer. */
  onPong(): void;
  /** Whether a ping has not been answered. */
  readonly owesPong: boolean;
}

/** Details of a close from this side, beside its reason. */
interface EndDetails {
  readonly description?: Error;
  /** A close code and a text that the client sees. */
  readonly code?: number;
  readonly text?: string;
}

type Listener = (...args: unknown[]) => void;

/** The first byte of a text packet (Engine.IO protocol v4). */
const PONG = 0x33;

/** Always writable: uWebSockets.js buffers, and cuts a client that does not read. */
const TRANSPORT = Object.freeze({ name: 'websocket', writable: true });

/** How long a client that was cut may take to read what waits for it. */
const LINGER_MS = 5000;

function closeNow(native: WebSocket<unknown>): void {
  try {
    native.close();
  } catch {
    // It is closed already: uWebSockets.js throws for a socket that is gone.
  }
}

/**
 * An Engine.IO v4 session that began on a WebSocket: in place of engine.io's socket and transport, which together keep
 * several kilobytes for each client. It behaves as they do to Socket.IO and to handlers; one with no listeners keeps no
 * list of them.
 *
 * Format: https://socket.io/docs/v4/engine-io-protocol/
 */
export class FastConnection implements HeartbeatMember, Sender, Reader {
  readonly id = sessionId();
  /** Without headers once the client is connected. */
  request: HandshakeRequest;
  /** Set by the server right after the connection is opened. */
  receiver: Receiver | undefined = undefined;
  observer: PingObserver | undefined = undefined;
  /** Whether it was cut because too much was waiting for it. */
  isSlow = false;
  bucket = 0;
  slot = 0;
  pingedTick = 0;
  heardTick = 0;
  messagesPaidAtMs = NOTHING_TAKEN;
  bytesPaidAtMs = NOTHING_TAKEN;
  readingPaidAtMs = NOTHING_TAKEN;
  readonly #owner: ConnectionOwner;
  #native: WebSocket<unknown> | undefined = undefined;
  #address: string | undefined = undefined;
  #events: EventEmitter | undefined = undefined;

  constructor(owner: ConnectionOwner, request: HandshakeRequest) {
    this.#owner = owner;
    this.request = request;
  }

  get protocol(): 4 {
    return 4;
  }

  get transport(): { readonly name: string; readonly writable: boolean } {
    return TRANSPORT;
  }

  get readyState(): 'open' | 'closed' {
    return this.#native === undefined ? 'closed' : 'open';
  }

  /** It began on the best transport there is. */
  get upgraded(): boolean {
    return false;
  }

  get upgrading(): boolean {
    return false;
  }

  /** The uWebSockets.js socket while it is open; after that no method of it may be called. */
  get native(): WebSocket<unknown> | undefined {
    return this.#native;
  }

  /** The peer's IP address; empty if it was not read before the connection closed. */
  get remoteAddress(): string {
    if (this.#address === undefined && this.#native !== undefined) {
      this.#address = Buffer.from(this.#native.getRemoteAddressAsText()).toString();
    }
    return this.#address ?? '';
  }

  /** Begins the session on a WebSocket that was just opened. */
  open(native: WebSocket<unknown>, openPacket: string): void {
    this.#native = native;
    native.send(openPacket);
  }

  /** Drops the headers, which are not used any more. */
  forgetHeaders(): void {
    this.request = withoutHeaders(this.request);
  }

  /** Sends a message; a string, or bytes. */
  write(data: string | Uint8Array, options?: WriteOptions, callback?: (transport: unknown) => void): this {
    const native = this.#native;
    // One that has lost a message is about to be cut, and must not get an offset beyond that.
    if (native === undefined || this.isSlow) return this;
    const events = this.#events;
    events?.emit('packetCreate', { type: 'message', options, data });
    if (typeof data === 'string') native.send(options?.wsPreEncoded ?? ENGINE_PACKET.message + data);
    else native.send(data, true);
    callback?.(TRANSPORT);
    events?.emit('drain');
    return this;
  }

  /** The same as {@link write}. */
  send(data: string | Uint8Array, options?: WriteOptions, callback?: (transport: unknown) => void): this {
    return this.write(data, options, callback);
  }

  /** Closes the connection after what was written. */
  close(): void {
    this.#end('forced close');
  }

  /** Closes the connection after what was written, with a close code and a text that the client sees. */
  closeWith(code: number, text: string): void {
    this.#end('forced close', { code, text });
  }

  /** Closes the connection at once: what waits for the client is lost, and nothing that it has sent is read any more. */
  cut(): void {
    const native = this.#native;
    if (native === undefined) return;
    try {
      this.#finish('forced close');
    } finally {
      closeNow(native);
    }
  }

  /** Sends a ping. */
  ping(): void {
    if (this.#native === undefined) return;
    this.#native.send(ENGINE_PACKET.ping);
    this.observer?.onPing();
  }

  /** Gives a client that is known to be slow its whole time again to answer a ping. */
  excuse(): void {
    if (this.pingedTick !== 0) this.heardTick = this.#owner.nowTick;
  }

  /** Pings at once, unless an answer is waited for already. */
  ask(): void {
    if (this.pingedTick !== 0) return;
    this.pingedTick = this.#owner.nowTick;
    this.heardTick = 0;
    this.ping();
  }

  /** Closes the connection of a client that did not answer a ping. */
  timeOut(): void {
    this.#end('ping timeout');
  }

  /** Takes a frame from the client. */
  take(frame: ArrayBuffer, isBinary: boolean): void {
    if (this.#native === undefined) return;
    const isPong = !isBinary && frame.byteLength === 1 && new Uint8Array(frame)[0] === PONG;
    // What it was asked for costs it nothing.
    const isOwed = isPong && this.observer?.owesPong === true;
    if (!isOwed && !this.#owner.admits(this, frame.byteLength, 'messages')) return;
    if (isPong) {
      this.pingedTick = 0;
      this.#events?.emit('packet', { type: 'pong' });
      this.#events?.emit('heartbeat');
      this.observer?.onPong();
      return;
    }
    if (this.pingedTick !== 0 && this.heardTick === 0) this.heardTick = this.#owner.nowTick;
    // uWebSockets.js takes the frame's memory back when this returns.
    if (isBinary) this.#deliver(Buffer.from(frame.slice(0)));
    else this.#takeText(textOfFrame(this, frame));
  }

  /** Takes a ping or pong of the WebSocket, which uWebSockets.js has answered where it has to be. */
  takePing(bytes: number): void {
    if (this.#native !== undefined) this.#owner.admits(this, bytes, 'pings');
  }

  /** MUST be called when the WebSocket is gone, for any reason. */
  onNativeClosed(): void {
    this.#finish('transport close');
  }

  on(event: string, listener: Listener): this {
    (this.#events ??= new EventEmitter()).on(event, listener);
    return this;
  }

  once(event: string, listener: Listener): this {
    (this.#events ??= new EventEmitter()).once(event, listener);
    return this;
  }

  off(event: string, listener: Listener): this {
    this.#events?.off(event, listener);
    return this;
  }

  removeListener(event: string, listener: Listener): this {
    return this.off(event, listener);
  }

  #takeText(text: string): void {
    const data = text.slice(1);
    switch (text.charAt(0)) {
      case ENGINE_PACKET.message:
        this.#deliver(data);
        return;
      case 'b':
        this.#deliver(Buffer.from(data, 'base64'));
        return;
      case ENGINE_PACKET.pong:
        this.pingedTick = 0;
        this.observer?.onPong();
        return;
      case ENGINE_PACKET.close:
        this.#end('transport close');
        return;
      case ENGINE_PACKET.ping:
        this.#end('transport error', { description: new Error('invalid heartbeat direction') });
        return;
      case ENGINE_PACKET.open:
      case ENGINE_PACKET.upgrade:
      case ENGINE_PACKET.noop:
        // Of no meaning on a transport that is open and final.
        return;
      default:
        this.#end('parse error');
    }
  }

  #deliver(data: string | Buffer): void {
    const events = this.#events;
    if (events !== undefined) {
      events.emit('packet', { type: 'message', data });
      events.emit('data', data);
      events.emit('message', data);
    }
    if (this.#native !== undefined) this.receiver?.onMessage(data);
  }

  /** Closes from this side. */
  #end(reason: EngineEndReason, { description, code, text }: EndDetails = {}): void {
    const native = this.#native;
    if (native === undefined) return;
    try {
      this.#finish(reason, description);
    } finally {
      // A client that reads byte by byte could keep what waits for it for as long as it likes.
      if (native.getBufferedAmount() > 0) setTimeout(() => closeNow(native), LINGER_MS).unref();
      native.end(code, text);
    }
  }

  #finish(reason: EngineEndReason, description?: Error): void {
    if (this.#native === undefined) return;
    this.#native = undefined;
    this.#owner.closed(this);
    try {
      this.receiver?.onClose(reason, description);
    } finally {
      this.#events?.emit('close', reason, description);
    }
  }
}
