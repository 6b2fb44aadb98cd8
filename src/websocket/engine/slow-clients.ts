import type { Socket as Connection } from 'engine.io';
import type { WebSocket } from 'uWebSockets.js';
import { insideOf } from './internals.js';
import { fastOf } from './native-socket.js';
import type { SocketData } from './socket-data.js';

/** The clients that did not read what was sent to them, until they are cut. */
export class SlowClients {
  /** Transports of engine.io's whose client did not read. */
  readonly #transports = new WeakSet<object>();
  /** WebSockets to be closed before anything else is sent. */
  readonly #toCut = new Set<WebSocket<SocketData>>();

  /** Whether a connection was cut because more than the limit was waiting for it. */
  has(connection: Connection): boolean {
    return fastOf(connection)?.isSlow ?? this.#transports.has(insideOf(connection).transport);
  }

  /** Marks a connection as cut for being slow. */
  mark(connection: Connection): void {
    const fast = fastOf(connection);
    if (fast === undefined) this.#transports.add(insideOf(connection).transport);
    else fast.isSlow = true;
  }

  /** To be called when uWebSockets.js has dropped a message for a WebSocket, which is cut after this callback. */
  onDropped(ws: WebSocket<SocketData>): void {
    if (!this.#isFirstDrop(ws.getUserData())) return;
    // Closing the socket inside this callback would end the process.
    this.#toCut.add(ws);
    setImmediate(() => this.cut());
  }

  /**
   * Closes the clients for which a message was dropped, before they can get the next one: what they received until then has
   * no hole (docs/ordering.md).
   */
  cut(): void {
    if (this.#toCut.size === 0) return;
    const sockets = [...this.#toCut];
    this.#toCut.clear();
    for (const socket of sockets) {
      try {
        socket.close();
      } catch {
        // Already closed: uWebSockets.js throws for a socket that is gone.
      }
    }
  }

  #isFirstDrop(data: SocketData): boolean {
    if ('connection' in data) {
      if (data.connection.isSlow) return false;
      data.connection.isSlow = true;
      return true;
    }
    if ('isSecond' in data) return true;
    if (this.#transports.has(data.transport)) return false;
    this.#transports.add(data.transport);
    return true;
  }
}
