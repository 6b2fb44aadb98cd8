import type { Socket as Connection } from 'engine.io';
import type { WebSocket } from 'uWebSockets.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import { readHandshake } from './handshake.js';
import type { FrameKind } from '../../access/flood-guard.js';
import { ENGINE_PACKET } from './engine-packet.js';
import { Heartbeat } from './heartbeat.js';
import { type ConnectionOwner, FastConnection } from './fast-connection.js';

/** How sessions that begin on a WebSocket are set up. */
export interface LeanServerOptions {
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly maxPayload: number;
}

/** What is done with connections beside opening and pinging them. */
export interface FastHandlers {
  /** Gives a connection that was just opened its receiver. */
  onConnection(connection: FastConnection): void;
  /** As in {@link ConnectionOwner}. */
  admits(connection: FastConnection, bytes: number, kind: FrameKind): boolean;
  /** As `FloodGuard.admitsPing`, for WebSockets that are not ours. */
  admitsPing(transport: object, connection: () => object | undefined, bytes: number): boolean;
  /** Told of what the service of a connection by a timer has thrown. */
  onFault(connection: FastConnection, error: unknown): void;
}

/** What is done with messages that are too large, of whatever connection. */
export interface OversizedHandlers {
  /** As in `OversizedMessages`. */
  refuse(connection: Connection, head: string, bytes: number): boolean;
  /** Told of a connection that uWebSockets.js has closed for a message that was larger still. */
  onClosed(connection: Connection): void;
}

/** Opens, counts, pings and closes the connections whose session began on a WebSocket. */
export class FastServer implements ConnectionOwner {
  readonly #openPacketEnd: string;
  readonly #heartbeat: Heartbeat;
  readonly #onCount: (change: 1 | -1) => void;
  readonly #handlers: FastHandlers;

  /** @param onCount - told of every connection that comes and goes */
  constructor(options: LeanServerOptions, onCount: (change: 1 | -1) => void, handlers: FastHandlers) {
    const { pingInterval, pingTimeout, maxPayload } = options;
    this.#openPacketEnd = `,"upgrades":[],"pingInterval":${pingInterval},"pingTimeout":${pingTimeout},"maxPayload":${maxPayload}}`;
    this.#heartbeat = new Heartbeat(pingInterval, pingTimeout, (connection, error) =>
      handlers.onFault(connection as FastConnection, error),
    );
    this.#onCount = onCount;
    this.#handlers = handlers;
  }

  get now(): number {
    return this.#heartbeat.now;
  }

  /**
   * Takes a request for a WebSocket.
   *
   * @returns the connection, to be opened when the WebSocket is there; `undefined` if the request is engine.io's to answer
   */
  accept(req: GuardedRequest): FastConnection | undefined {
    const request = readHandshake(req);
    return request && new FastConnection(this, request);
  }

  /** Begins the session. */
  open(connection: FastConnection, native: WebSocket<unknown>): void {
    connection.open(native, `${ENGINE_PACKET.open}{"sid":"${connection.id}"${this.#openPacketEnd}`);
    this.#heartbeat.add(connection);
    this.#onCount(1);
    this.#handlers.onConnection(connection);
  }

  admits(connection: FastConnection, bytes: number, kind: FrameKind): boolean {
    return this.#handlers.admits(connection, bytes, kind);
  }

  /** Told by a connection that it is closed. */
  closed(connection: FastConnection): void {
    this.#heartbeat.remove(connection);
    this.#onCount(-1);
  }

  /** The connections that are open. */
  all(): FastConnection[] {
    return this.#heartbeat.all() as FastConnection[];
  }

  /** Closes every connection. */
  close(): void {
    for (const connection of this.all()) connection.close();
    this.#heartbeat.stop();
  }
}
