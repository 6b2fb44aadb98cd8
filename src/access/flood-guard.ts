import { NOTHING_TAKEN, Rate } from './rate-limit.js';

/** Why a client was cut for what it sent. */
export type FloodKind = 'messages' | 'pings' | 'bytes' | 'probes' | 'payload';

/** What a frame is counted as: a message, or a ping or pong of the WebSocket itself, which carries no message. */
export type FrameKind = 'messages' | 'pings';

/** What is kept of one client: when what it sent is paid for, as in {@link Rate}. */
export interface Sender {
  messagesPaidAtMs: number;
  bytesPaidAtMs: number;
}

/** How much one client may send; 0 is no limit. */
export interface FloodOptions {
  readonly maxMessagesPerSecond: number;
  readonly maxBytesPerSecond: number;
  /** Bytes of one message. */
  readonly maxPayload: number;
  /** Called just before a client is cut. */
  readonly onFlood: (connection: object, kind: FloodKind) => void;
  /** Whether a connection that keeps no account has not answered a ping. Unset: pongs are messages like others. */
  readonly owesPong?: (connection: object) => boolean;
}

function newSender(): Sender {
  return { messagesPaidAtMs: NOTHING_TAKEN, bytesPaidAtMs: NOTHING_TAKEN };
}

/** Seconds' worth that a client may send at once after a quiet time. */
const BURST_SECONDS = 2;

/** Probes of a better transport on one connection; a stock client sends one. */
const MAX_PROBES = 8;

/** An Engine.IO packet from a client. */
interface Packet {
  readonly type: string;
  readonly data?: string | Buffer;
}

/** A connection of Engine.IO that keeps no account of its own. */
export interface WatchedConnection {
  on(event: 'packet', listener: (packet: Packet) => void): unknown;
  on(event: 'upgrading', listener: () => void): unknown;
  close(discard: boolean): unknown;
}

/** Cuts clients that send more than they may; nobody else feels it. */
export class FloodGuard {
  readonly #messages: Rate | undefined;
  readonly #bytes: Rate | undefined;
  readonly #onFlood: FloodOptions['onFlood'];
  readonly #owesPong: (connection: object) => boolean;
  /** Of WebSockets that keep no account of their own: what they have spent on pings and pongs. */
  readonly #senders = new WeakMap<object, Sender>();

  constructor({ maxMessagesPerSecond, maxBytesPerSecond, maxPayload, onFlood, owesPong }: FloodOptions) {
    if (maxMessagesPerSecond > 0) {
      this.#messages = new Rate(maxMessagesPerSecond, BURST_SECONDS * maxMessagesPerSecond);
    }
    if (maxBytesPerSecond > 0) {
      // At least one message of the size that is taken, or nobody could send that, and what comes right after it.
      const burst = Math.max(BURST_SECONDS * maxBytesPerSecond, maxPayload + maxBytesPerSecond);
      this.#bytes = new Rate(maxBytesPerSecond, burst);
    }
    this.#onFlood = onFlood;
    this.#owesPong = owesPong ?? (() => false);
  }

  /** Watches what comes in on a connection of engine.io's. Call it before anybody else listens there. */
  watch(connection: WatchedConnection): void {
    const sender = newSender();
    let probes = 0;
    const cut = (kind: FloodKind): void => {
      this.#onFlood(connection, kind);
      connection.close(true);
    };
    connection.on('packet', ({ type, data }: Packet) => {
      // What it was asked for costs it nothing.
      if (type === 'pong' && this.#owesPong(connection)) return;
      const kind = this.#overspent(sender, (data?.length ?? 0) + 1, 'messages');
      if (kind !== undefined) cut(kind);
    });
    connection.on('upgrading', () => {
      if (++probes !== MAX_PROBES) return;
      this.#onFlood(connection, 'probes');
      // Not inside this event: engine.io starts a timer for the probe right after it, and nothing would end that.
      process.nextTick(() => connection.close(true));
    });
  }

  /**
   * Counts a frame of a connection that keeps its own account; one for which there is nothing left is cut.
   *
   * @returns whether the frame may be worked on
   */
  admits(connection: Sender & { cut(): void }, bytes: number, frame: FrameKind): boolean {
    const kind = this.#overspent(connection, bytes, frame);
    if (kind === undefined) return true;
    this.#onFlood(connection, kind);
    connection.cut();
    return false;
  }

  /**
   * Counts a ping or pong on a WebSocket of engine.io's, which keeps no account.
   *
   * @param transport - whose account it goes to
   * @param connection - finds the connection that uses the transport, if there is one yet
   * @returns whether the WebSocket may stay; if not it MUST be closed
   */
  admitsPing(transport: object, connection: () => object | undefined, bytes: number): boolean {
    let sender = this.#senders.get(transport);
    if (sender === undefined) this.#senders.set(transport, (sender = newSender()));
    const kind = this.#overspent(sender, bytes, 'pings');
    if (kind !== undefined) this.#onFlood(connection() ?? transport, kind);
    return kind === undefined;
  }

  #overspent(sender: Sender, bytes: number, frame: FrameKind): FloodKind | undefined {
    const nowMs = performance.now();
    if (this.#messages !== undefined) {
      const paidAtMs = this.#messages.take(sender.messagesPaidAtMs, 1, nowMs);
      if (paidAtMs === undefined) return frame;
      sender.messagesPaidAtMs = paidAtMs;
    }
    if (this.#bytes !== undefined) {
      const paidAtMs = this.#bytes.take(sender.bytesPaidAtMs, bytes, nowMs);
      if (paidAtMs === undefined) return 'bytes';
      sender.bytesPaidAtMs = paidAtMs;
    }
    return undefined;
  }
}
