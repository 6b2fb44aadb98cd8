import type { Socket as Connection } from 'engine.io';
import { fastOf, nativeSocket, owesPong } from './native-socket.js';
import { insideOf } from './internals.js';
import { PollingTransport } from './polling-transport.js';

/**
 * How long a client may take to answer a ping while memory is short: half of what PING_TIMEOUT gives by default. A ping that
 * is lost four times in a row is answered by then, while what is half-sent meanwhile can still end the process.
 */
const ANSWER_MS = 10_000;

/**
 * Frees the memory that half-sent messages take. uWebSockets.js keeps the beginning of a message until the rest arrives, and
 * shows it to no one: many clients that each send all but the end of a large one can fill the memory of a pod. But a client
 * in the middle of a message cannot answer a ping of Engine.IO. So while memory is short every client is pinged, and one that
 * sends nothing for ten seconds is cut.
 *
 * A client for which something waits is left alone: it may not have seen the ping behind that yet. What waits is bounded, and a
 * client that does not read on is closed after PING_TIMEOUT or SLOW_TIMEOUT as always.
 */
export class HalfSent {
  readonly #sessions: () => Connection[];
  readonly #onCut: (connection: object) => void;
  #isAsking = false;

  /** @param onCut - called just before a client is cut */
  constructor(sessions: () => Connection[], onCut: (connection: object) => void) {
    this.#sessions = sessions;
    this.#onCut = onCut;
  }

  /** MUST be called again and again while memory is short. */
  relieve(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const asked = this.#sessions().flatMap((connection) => {
      const isSilent = ask(connection);
      return isSilent === undefined ? [] : [{ connection, isSilent }];
    });
    setTimeout(() => {
      this.#isAsking = false;
      for (const { connection, isSilent } of asked) {
        if (connection.readyState !== 'open' || isBehind(connection) || !isSilent()) continue;
        this.#onCut(connection);
        const transport: object = connection.transport;
        connection.close(true);
        // The request keeps the part of a body that has arrived, and does not end with the session.
        if (transport instanceof PollingTransport) transport.dropBody();
      }
    }, ANSWER_MS).unref();
  }
}

/** Whether something waits for a client to read it from its WebSocket. */
function isBehind(connection: Connection): boolean {
  return (nativeSocket(connection)?.getBufferedAmount() ?? 0) > 0;
}

/** Pings a client. @returns whether it has sent nothing since; `undefined` if there is nothing to wait for */
function ask(connection: Connection): (() => boolean) | undefined {
  if (isBehind(connection)) return undefined;
  const fast = fastOf(connection);
  if (fast !== undefined) {
    fast.ask();
    const { pingedTick } = fast;
    return () => fast.pingedTick === pingedTick && fast.heardTick === 0;
  }
  const { transport } = connection;
  if (transport instanceof PollingTransport) {
    const { body } = transport;
    return body && (() => transport.body === body);
  }
  // What it has been asked already may wait in kernels behind a lot of signals; if not, the heartbeat ends it.
  if (connection.readyState !== 'open' || owesPong(connection)) return undefined;
  let isSilent = true;
  connection.once('packet', () => {
    isSilent = false;
  });
  insideOf(connection).sendPacket('ping');
  return () => isSilent;
}
