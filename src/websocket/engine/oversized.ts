import type { Socket as Connection } from 'engine.io';
import type { ConnectError } from '../../contract/connect.js';
import type { SubscribeAnswer } from '../../contract/events.js';
import { PACKET_TYPE, encodeAck, encodeConnectError, readHead } from '../../contract/packet.js';
import { ENGINE_PACKET } from './engine-packet.js';

/** Code of what is refused for its size, wherever that is. */
export const TOO_LARGE = 'payload_too_large';

/** Bytes at the beginning of a message that say what it is. */
export const HEAD_BYTES = 256;

/** A WebSocket is closed so when a message is too large (RFC 6455, section 7.4.1); the stock client shows it to `disconnect`. */
export const CLOSE_TOO_LARGE = 1009;

/** What is longer than `maxPayload` is still taken off a WebSocket up to here at least, to be refused with a code. */
const MIN_TAKEN_BYTES = 1024 * 1024;

/** Such messages that one connection may send before it is cut. */
const MAX_REFUSALS = 4;

/**
 * The longest message that uWebSockets.js takes. It closes the connection at once for a longer one, without a reason;
 * what is longer than `maxPayload` and not as long as this can be refused with a code.
 */
export function takenAtMost(maxPayload: number): number {
  return Math.max(2 * maxPayload, MIN_TAKEN_BYTES);
}

/** The limit of size, and callbacks for what is refused. */
export interface OversizedOptions {
  /** Bytes of the longest message that is worked on. */
  readonly maxPayload: number;
  /** A client that asked to be let in was refused. */
  readonly onRefused: (bytes: number) => void;
  /** A `subscribe` was refused. */
  readonly onSubscribe: (bytes: number) => void;
  /** Called just before a client is cut. */
  readonly onCut: (connection: object, bytes: number) => void;
}

/** Refuses messages that are too large, without decoding them: each once, with a code that its client sees. */
export class OversizedMessages {
  readonly #options: OversizedOptions;
  readonly #refusals = new WeakMap<object, number>();

  constructor(options: OversizedOptions) {
    this.#options = options;
  }

  /**
   * Refuses a message by an answer, where its client waits for one.
   *
   * @param head - its first {@link HEAD_BYTES}, as an Engine.IO packet; may end in the middle of a character
   * @param bytes - how long it is
   * @returns whether it was answered; if not, the connection is to be closed, and `onCut` has been called
   */
  refuse(connection: Pick<Connection, 'write'>, head: string, bytes: number): boolean {
    const { maxPayload, onRefused, onSubscribe, onCut } = this.#options;
    const refusals = (this.#refusals.get(connection) ?? 0) + 1;
    this.#refusals.set(connection, refusals);
    const message = `${bytes} bytes in one message; at most ${maxPayload} are taken`;
    const isMessage = refusals <= MAX_REFUSALS && head.startsWith(ENGINE_PACKET.message);
    const packet = isMessage ? readHead(head.slice(ENGINE_PACKET.message.length)) : undefined;
    if (packet?.type === PACKET_TYPE.connect) {
      onRefused(bytes);
      const refusal: ConnectError = { message, data: { code: TOO_LARGE } };
      connection.write(encodeConnectError(refusal, packet.namespace));
      return true;
    }
    if (packet?.event === 'subscribe') {
      onSubscribe(bytes);
      const { id, namespace } = packet;
      const answer: SubscribeAnswer = { ok: false, error: { code: TOO_LARGE, message } };
      // One who asks for no answer gets none, as when its topics are wrong.
      if (id !== undefined) connection.write(encodeAck(id, answer, namespace));
      return true;
    }
    onCut(connection, bytes);
    return false;
  }
}
