import type { HttpRequest, WebSocket } from 'uWebSockets.js';
import { readHandshake } from './handshake.js';
import { Heartbeat } from './heartbeat.js';
import { type ConnectionOwner, LeanConnection } from './lean-connection.js';

/** How sessions that begin on a WebSocket are set up. */
export interface LeanServerOptions {
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly maxPayload: number;
}

/** Opens, counts, pings and closes the connections whose session began on a WebSocket. */
export class LeanServer implements ConnectionOwner {
  readonly #openPacketEnd: string;
  readonly #heartbeat: Heartbeat;
  readonly #onCount: (change: 1 | -1) => void;
  readonly #onConnection: (connection: LeanConnection) => void;

  /**
   * @param onCount - told of every connection that comes and goes
   * @param onConnection - gives the connection its receiver
   */
  constructor(
    options: LeanServerOptions,
    onCount: (change: 1 | -1) => void,
    onConnection: (connection: LeanConnection) => void,
  ) {
    const { pingInterval, pingTimeout, maxPayload } = options;
    this.#openPacketEnd = `,"upgrades":[],"pingInterval":${pingInterval},"pingTimeout":${pingTimeout},"maxPayload":${maxPayload}}`;
    this.#heartbeat = new Heartbeat(pingInterval, pingTimeout);
    this.#onCount = onCount;
    this.#onConnection = onConnection;
  }

  get now(): number {
    return this.#heartbeat.now;
  }

  /**
   * Takes a request for a WebSocket.
   *
   * @returns the connection, to be opened when the WebSocket is there; `undefined` if the request is engine.io's to answer
   */
  accept(req: HttpRequest): LeanConnection | undefined {
    const request = readHandshake(req);
    return request && new LeanConnection(this, request);
  }

  /** Begins the session. */
  open(connection: LeanConnection, native: WebSocket<unknown>): void {
    connection.open(native, `0{"sid":"${connection.id}"${this.#openPacketEnd}`);
    this.#heartbeat.add(connection);
    this.#onCount(1);
    this.#onConnection(connection);
  }

  /** Told by a connection that it is closed. */
  closed(connection: LeanConnection): void {
    this.#heartbeat.remove(connection);
    this.#onCount(-1);
  }

  /** The connections that are open. */
  all(): LeanConnection[] {
    return this.#heartbeat.all() as LeanConnection[];
  }

  /** Closes every connection. */
  close(): void {
    for (const connection of this.all()) connection.close();
    this.#heartbeat.stop();
  }
}
