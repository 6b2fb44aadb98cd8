import type { Logger } from 'pino';
import { type DefaultEventsMap, Server, type Socket } from 'socket.io';
import type { TemplatedApp } from 'uWebSockets.js';
import type { ServerToClientEvents, Welcome } from '../contract/events.js';
import { ALL_SIGNALS, EVERYBODY, isFeedRoom, roomOfTopic } from '../contract/topics.js';
import type { AdapterFactory } from './adapter.js';
import { Admission, type Refusal } from './admission.js';
import { type EngineOptions, FeedEngine } from './engine.js';
import { OriginPolicy } from './origin.js';
import { Rooms } from './rooms.js';

/** Clients send no events yet. */
type ClientToServerEvents = Record<string, never>;

/** The Socket.IO server, with the feed's events typed. */
export type FeedServer = Server<ClientToServerEvents, ServerToClientEvents & DefaultEventsMap>;
type FeedSocket = Socket<ClientToServerEvents, ServerToClientEvents & DefaultEventsMap>;

/** What a client that has just come is told; the feed's owner knows it. */
export interface Greeting {
  /** The newest place in the journal, in wire form. */
  head(): string;
  /** The newest status of every service, as encoded packets. */
  statuses(): Iterable<string>;
}

/** What happens on connections, for counters. */
export interface ConnectionEvents {
  connected(): void;
  disconnected(reason: string): void;
  refused(reason: Refusal): void;
}

/** How the manager is set up. */
export interface WebSocketManagerOptions extends EngineOptions {
  readonly welcomeMessage: string;
  readonly corsOrigins: readonly string[];
  readonly maxConnections: number;
  readonly connectTimeout: number;
  /** Unset: Socket.IO's adapter in memory. */
  readonly adapter?: AdapterFactory;
  readonly greeting: Greeting;
  readonly events: ConnectionEvents;
  readonly log: Logger;
}

/** Why a connection ended, where Socket.IO's own reason says less than is known. */
const SLOW_CLIENT = 'slow client';

/**
 * Everything about Socket.IO connections: who may connect, what they are told, how packets reach them.
 *
 * One a process: uWebSockets.js apps and Socket.IO adapters share global state.
 */
export class WebSocketManager {
  /** The Socket.IO server. */
  readonly sio: FeedServer;
  readonly #engine: FeedEngine;
  readonly #rooms: Rooms;
  readonly #admission: Admission;
  readonly #options: WebSocketManagerOptions;
  readonly #welcome: Welcome;

  /** Attaches Socket.IO to the app; it serves as soon as the app listens. */
  constructor(app: TemplatedApp, options: WebSocketManagerOptions) {
    this.#options = options;
    this.#welcome = { message: options.welcomeMessage };
    this.sio = new Server({
      serveClient: false,
      connectTimeout: options.connectTimeout,
      ...(options.adapter === undefined ? {} : { adapter: options.adapter as never }),
    });
    const origins = new OriginPolicy(options.corsOrigins);
    this.#admission = new Admission({
      origins,
      maxConnections: options.maxConnections,
      connections: () => this.connections,
      onRefused: (reason) => options.events.refused(reason),
    });
    this.#engine = new FeedEngine(app, options, this.#admission, origins);
    this.sio.bind(this.#engine.server);
    this.#rooms = new Rooms(app, this.sio.of('/').adapter, this.sio.of('/').sockets, {
      isFeedRoom,
      maxBuffered: options.maxBackpressure,
      onSlow: (connection) => this.#engine.markSlow(connection),
    });
    this.sio.on('connect', (socket) => this.#onConnect(socket));
  }

  /** Clients that have an Engine.IO session, including those that are still connecting. */
  get connections(): number {
    return this.#engine.server.clientsCount;
  }

  /** Clients by the transport they are on. */
  transports(): Record<'websocket' | 'polling', number> {
    const polling = this.#rooms.pollingCount;
    return { polling, websocket: Math.max(0, this.sio.of('/').sockets.size - polling) };
  }

  /** Sends an encoded packet to the members of the rooms on this pod. */
  publish(rooms: readonly string[], packet: string): void {
    this.#rooms.publish(rooms, packet);
  }

  /** Takes no new clients; those that are connected stay. */
  refuseNew(): void {
    this.#admission.stopping = true;
  }

  /** Closes every connection so that the stock client connects again, elsewhere. May be called twice. */
  async close(): Promise<void> {
    this.refuseNew();
    await this.sio.close();
  }

  #onConnect(socket: FeedSocket): void {
    const { log, greeting, events } = this.#options;
    const connection = socket.conn;
    events.connected();
    log.info({ sid: socket.id, transport: connection.transport.name }, 'client connected');
    socket.on('disconnect', (reason) => {
      const cause = this.#engine.wasSlow(connection) ? SLOW_CLIENT : reason;
      events.disconnected(cause);
      log.info({ sid: socket.id, reason: cause }, 'client disconnected');
    });
    socket.emit('welcome', this.#welcome, greeting.head());
    for (const packet of greeting.statuses()) connection.write(packet);
    // In the same turn as the greeting: nothing published falls between the two.
    void socket.join([EVERYBODY, roomOfTopic(ALL_SIGNALS)]);
  }
}
