import type { Socket as Connection } from 'engine.io';
import type { WebSocket } from 'uWebSockets.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import { readHandshake } from './handshake.js';
import type { FrameKind } from '../../access/flood-guard.js';
import { ENGINE_PACKET } from './engine-packet.js';
import { Heartbeat } from './heartbeat.js';
import { type ConnectionOwner, FastConnection } from './fast-connection.js';

/** How sessions that begin on a WebSocket are set up. */
export interface FastServerOptions {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly maxPayload: number;
}

/** What happens to connections beside opening and pinging them. */
export interface FastHandlers {
  /** Gives a connection that was just opened its receiver. */
  onConnection(connection: FastConnection): void;
  /** As in {@link ConnectionOwner}. */
  admits(connection: FastConnection, bytes: number, kind: FrameKind): boolean;
  /** As `FloodGuard.admitsPing`, for WebSockets that are not ours. */
  admitsPing(transport: object, connection: () => object | undefined, bytes: number): boolean;
  /** Called with what a timer of a connection has thrown. */
  onFault(connection: FastConnection, error: unknown): void;
}

/** What happens to messages that are too large, on any connection. */
export interface OversizedHandlers {
  /** As in `OversizedMessages`. */
  refuse(connection: Connection, head: string, bytes: number): boolean;
  /** Called when uWebSockets.js has closed a connection for a message that was larger still. */
  onClosed(connection: Connection): void;
}

/** Opens, counts, pings and closes the connections whose session began on a WebSocket. */
export class FastServer implements ConnectionOwner {
  readonly #openPacketEnd: string;
  readonly #heartbeat: Heartbeat;
  readonly #onCount: (change: 1 | -1) => void;
  readonly #handlers: FastHandlers;

  /** @param onCount - called for every connection that is opened or closed */
  constructor(options: FastServerOptions, onCount: (change: 1 | -1) => void, handlers: FastHandlers) {
    const { pingIntervalMs, pingTimeoutMs, maxPayload } = options;
    this.#openPacketEnd = `,"upgrades":[],"pingInterval":${pingIntervalMs},"pingTimeout":${pingTimeoutMs},"maxPayload":${maxPayload}}`;
    this.#heartbeat = new Heartbeat(pingIntervalMs, pingTimeoutMs, (connection, error) =>
      handlers.onFault(connection as FastConnection, error),
    );
    this.#onCount = onCount;
    this.#handlers = handlers;
  }

  get nowTick(): number {
    return this.#heartbeat.nowTick;
  }

  /**
   * Takes a request for a WebSocket.
   *
   * @returns the connection, to be opened with its WebSocket; `undefined` if engine.io has to answer the request
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

  /** Called by a connection that is closed. */
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
