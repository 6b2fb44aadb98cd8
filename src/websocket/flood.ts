import type { Socket as Connection } from 'engine.io';
import { NOTHING_TAKEN, type Rate, take } from './rate-limit.js';

/** Why a client was cut for what it sent. */
export type FloodKind = 'messages' | 'bytes' | 'binary' | 'probes';

/** How much one client may send; 0 is no limit. */
export interface FloodOptions {
  readonly maxMessagesPerSecond: number;
  readonly maxBytesPerSecond: number;
  /** Bytes of one message. */
  readonly maxPayload: number;
  /** Told just before a client is cut. */
  readonly onFlood: (connection: Connection, kind: FloodKind) => void;
}

/** Seconds' worth that a client may send at once after a quiet time. */
const BURST_SECONDS = 2;

/** Probes of a better transport on one connection; a stock client sends one. */
const MAX_PROBES = 8;

/** An Engine.IO packet from a client. */
interface Packet {
  readonly type: string;
  readonly data?: unknown;
}

/** Cuts clients that send more than they may; nobody else feels it. */
export class FloodGuard {
  readonly #messages: Rate | undefined;
  readonly #bytes: Rate | undefined;
  readonly #onFlood: FloodOptions['onFlood'];

  constructor({ maxMessagesPerSecond, maxBytesPerSecond, maxPayload, onFlood }: FloodOptions) {
    if (maxMessagesPerSecond > 0) {
      this.#messages = { perSecond: maxMessagesPerSecond, burst: BURST_SECONDS * maxMessagesPerSecond };
    }
    if (maxBytesPerSecond > 0) {
      // At least one message of the size that is taken, or nobody could send that.
      const burst = Math.max(BURST_SECONDS * maxBytesPerSecond, BURST_SECONDS * maxPayload);
      this.#bytes = { perSecond: maxBytesPerSecond, burst };
    }
    this.#onFlood = onFlood;
  }

  /** Watches what comes in on a connection. Call it before anybody else listens there. */
  watch(connection: Connection): void {
    let messagesPaidAt = NOTHING_TAKEN;
    let bytesPaidAt = NOTHING_TAKEN;
    let probes = 0;
    const cut = (kind: FloodKind): void => {
      this.#onFlood(connection, kind);
      connection.close(true);
    };
    connection.on('packet', ({ data }: Packet) => {
      // The feed has no event with binary data from clients, and each would be kept until its last part has come.
      if (data !== undefined && typeof data !== 'string') {
        cut('binary');
        return;
      }
      const now = performance.now();
      const messages = this.#messages && take(this.#messages, messagesPaidAt, 1, now);
      const bytes = this.#bytes && take(this.#bytes, bytesPaidAt, (data?.length ?? 0) + 1, now);
      if (this.#messages !== undefined && messages === undefined) cut('messages');
      else if (this.#bytes !== undefined && bytes === undefined) cut('bytes');
      messagesPaidAt = messages ?? messagesPaidAt;
      bytesPaidAt = bytes ?? bytesPaidAt;
    });
    connection.on('upgrading', () => {
      if (++probes === MAX_PROBES) cut('probes');
    });
  }
}
