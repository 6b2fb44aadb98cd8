import type { Socket as Connection } from 'engine.io';
import type { Logger } from 'pino';
import { Server } from 'socket.io';
import { Adapter } from 'socket.io-adapter';
import type { ErrorBoundary, FaultStage } from '../http/error-boundary.js';
import type { RoutedApp } from '../http/guarded-app.js';
import { MAX_ECHO_LENGTH, type SubscribeErrorCode, type Welcome } from '../contract/events.js';
import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeCheckpoint, encodeEvent, encodeGap } from '../contract/packet.js';
import { isFeedRoom, isTopicRoom, roomsOfClient } from '../contract/rooms.js';
import type { GapReason, JournalEntry, Resolution } from '../journal/journal.js';
import type { AdapterFactory } from './adapter.js';
import { Admission } from '../access/admission.js';
import { type TokenOptions, TokenVerifier } from '../access/token-verifier.js';
import { BufferSample } from './engine/buffer-sample.js';
import { ClientAddress } from '../access/client-address.js';
import { Drain, type DrainOptions } from './drain.js';
import { type EngineOptions, FeedEngine } from './engine/engine.js';
import { ConnectMiddleware, type ConnectRefusal } from './connect-middleware.js';
import { Expiry } from '../access/expiry.js';
import type { FeedServer, FeedSocket } from './feed-socket.js';
import { FloodGuard, type FloodKind } from '../access/flood-guard.js';
import { keyFaults } from '../access/key-set.js';
import { FastClients } from './engine/fast-client.js';
import type { FastHandlers } from './engine/fast-server.js';
import { useFastSockets } from './engine/fast-socket.js';
import { ConnectionLimits, type ConnectionLimitsOptions } from '../access/connection-limits.js';
import type { MemoryPressure } from '../access/memory-pressure.js';
import type { OriginPolicy } from '../access/origin-policy.js';
import { parser } from './engine/parser.js';
import { type OtherPods, PodCalls, roomOfUser } from './pod-calls.js';
import { Recovery } from '../delivery/recovery.js';
import type { RefusalFields, RefusalLog } from '../access/refusal-log.js';
import { replayTarget } from './replay-target.js';
import { replay } from '../delivery/replay.js';
import { recoveringAdapter } from './recovering-adapter.js';
import { Rooms } from './rooms.js';
import { sizeRefusals } from './engine/size-refusals.js';
import { sizeWarnings } from '../access/sizes.js';
import { Subscriptions } from '../delivery/subscriptions.js';
import type { TopicStore } from '../delivery/topic-store.js';

/** What the manager asks of the feed. */
export interface FeedSource {
  /** The newest place that this pod's clients have been given. */
  head(): Offset;
  /** As in `Journal.resolve`. */
  resolve(offset: Offset): Promise<Resolution>;
  /** As in `Journal.read`. */
  read(
    after: Offset,
    limit: number,
  ): readonly JournalEntry[] | Promise<readonly JournalEntry[] | undefined> | undefined;
  /** An entry as an encoded packet; one that was deleted since it was read, as a packet that says so. */
  encode(entry: JournalEntry): string;
  /** The newest status of every service, as encoded packets without offsets. */
  statuses(): Iterable<string>;
}

/** What happens on connections, for counters. */
export interface ConnectionEvents {
  connected(): void;
  /** @param reason - one of Socket.IO's, or what is known better; never the client's words */
  disconnected(reason: string): void;
  /** A client was cut because it did not read. */
  slow(): void;
  refused(reason: ConnectRefusal): void;
  subscribed(result: 'ok' | SubscribeErrorCode): void;
  flooded(kind: FloodKind): void;
  recovery(result: 'recovered' | GapReason | 'retry'): void;
  replayed(entries: number): void;
}

/** How the manager is set up. */
export interface WebSocketManagerOptions extends EngineOptions {
  readonly welcomeMessage: string;
  readonly origins: OriginPolicy;
  /** Where refusals are written. */
  readonly refusals: RefusalLog;
  /** What keeps an error in the service of one client from the others. */
  readonly boundary: ErrorBoundary;
  readonly limits: ConnectionLimitsOptions & {
    readonly maxMessagesPerSecond: number;
    readonly maxBytesPerSecond: number;
  };
  /** As `ClientAddress` takes it. */
  readonly trustProxy: number | readonly string[] | undefined;
  /** Unset: clients need no token. */
  readonly jwt: TokenOptions | undefined;
  readonly memory: MemoryPressure;
  /** What this pod tells of itself; JSON. */
  readonly describe: () => object;
  /** Unset: there are none. */
  readonly otherPods?: OtherPods;
  readonly connectTimeout: number;
  /** Unset: Socket.IO's adapter in memory. */
  readonly adapter?: AdapterFactory;
  /** Where the topics are kept that clients choose while connected. */
  readonly topicStore: TopicStore;
  readonly feed: FeedSource;
  readonly events: ConnectionEvents;
  readonly log: Logger;
}

/** Why a connection ended, where Socket.IO's own reason says less than is known. */
const SLOW_CLIENT = 'slow client';
const DRAINED = 'drained';
const FLOOD = 'flood';
const TOKEN_EXPIRED = 'token expired';

/** Bytes of a replay in flight at most: a slow client must not fill this process. */
const REPLAY_WINDOW = 128 * 1024;

/**
 * Everything about Socket.IO connections: who may connect, what they are told, how packets reach them.
 *
 * One a process: uWebSockets.js apps share a loop.
 */
export class WebSocketManager {
  /** The Socket.IO server. */
  readonly sio: FeedServer;
  /** Asks all pods. */
  readonly pods: PodCalls;
  readonly #engine: FeedEngine;
  readonly #rooms: Rooms;
  readonly #admission: Admission;
  readonly #recovery: Recovery;
  readonly #drain = new Drain();
  readonly #buffers: BufferSample;
  readonly #subscriptions: Subscriptions;
  readonly #options: WebSocketManagerOptions;
  /** Its argument, as JSON. */
  readonly #welcome: string;
  readonly #middleware: ConnectMiddleware;
  readonly #expiry = new Expiry<FeedSocket>((socket) => {
    this.#causes.set(socket.conn, TOKEN_EXPIRED);
    // Not `disconnect`, after which the stock client would not come again with a fresh token.
    const close = (): unknown => socket.conn.close();
    this.#options.boundary.run('timer', () => `client ${socket.id}`, close);
  });
  /** Why connections were cut. */
  readonly #causes = new WeakMap<object, string>();

  /** Attaches Socket.IO to the app; it serves as soon as the app listens. */
  constructor(app: RoutedApp, options: WebSocketManagerOptions) {
    this.#options = options;
    for (const warning of sizeWarnings({ ...options.limits, maxPayload: options.maxPayload }))
      options.log.warn(warning);
    const welcome: Welcome = { message: options.welcomeMessage };
    this.#welcome = JSON.stringify(welcome);
    this.#recovery = new Recovery(
      (offset) => options.feed.resolve(offset),
      (pid) => options.topicStore.claim(pid),
      (result) => options.events.recovery(result),
    );
    this.#subscriptions = new Subscriptions(
      options.topicStore,
      () => encodeCheckpoint(options.feed.head()),
      (result) => options.events.subscribed(result),
      options.log,
      () => options.memory.isHigh,
    );
    this.sio = this.#newServer();
    this.pods = new PodCalls(this.sio, options.otherPods, options.describe);
    const addresses = new ClientAddress(options.trustProxy);
    const limits = new ConnectionLimits(options.limits, addresses, options.memory, () => this.connections);
    this.#admission = new Admission({ origins: options.origins, limits });
    this.#engine = this.#newEngine(app, limits);
    this.sio.bind(this.#engine.server);
    const root = this.sio.of('/');
    useFastSockets(root, (socket, error) => {
      options.boundary.fault('event', `client ${socket.id}`, error, () => socket.conn.close());
    });
    this.#rooms = new Rooms(app, root.adapter, root.sockets, {
      isFeedRoom,
      compress: options.compression !== 0,
      maxBuffered: options.maxBackpressure,
      onSlow: (connection) => this.#engine.markSlow(connection),
    });
    this.#buffers = new BufferSample(root.sockets);
    this.#middleware = new ConnectMiddleware({
      tokens: options.jwt && new TokenVerifier(options.jwt, { onChange: keyFaults(options.log) }),
      isShort: () => options.memory.isHigh,
      onRefused: (code, fields) => this.#onRefused(code, fields),
      boundary: options.boundary,
      log: options.log,
    });
    this.sio.use((socket, next) => this.#serve(socket, () => this.#middleware.admit(socket, next)));
    this.sio.on('connect', (socket) => this.#serve(socket, () => this.#onConnect(socket)));
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

  /** Bytes that wait to be read by clients: see {@link BufferSample.read}. */
  bufferedBytes(): number {
    return this.#buffers.read();
  }

  /** Topics that somebody on this pod is subscribed to. */
  get topics(): number {
    return [...this.sio.of('/').adapter.rooms.keys()].filter(isTopicRoom).length;
  }

  /**
   * Sends an encoded packet to the members of the rooms on this pod.
   *
   * @returns clients it was handed to
   */
  publish(rooms: readonly string[], packet: string): number {
    // A client that has lost a packet must be gone before the next one, or it would have a hole.
    this.#engine.cutSlow();
    return this.#rooms.publish(rooms, packet);
  }

  /** Takes no new clients; those that are connected stay. */
  refuseNew(): void {
    this.#admission.stopping = true;
  }

  /** Lets the clients go so that they come back elsewhere, as {@link Drain} says. */
  drain(options: DrainOptions): Promise<void> {
    return this.#drain.run(this.#engine.sessions(), () => this.connections, options);
  }

  /** Keeps anew what is kept of connected clients outside of this process: it may have been lost there. */
  renewKept(): void {
    void this.#subscriptions.renew();
  }

  /** Closes every connection so that the stock client connects again, elsewhere. May be called twice. */
  async close(): Promise<void> {
    this.refuseNew();
    this.#subscriptions.close();
    this.#expiry.close();
    await this.sio.close();
  }

  #newServer(): FeedServer {
    const { adapter, connectTimeout } = this.#options;
    return new Server({
      serveClient: false,
      connectTimeout,
      parser,
      adapter: recoveringAdapter(adapter ?? ((namespace) => new Adapter(namespace)), this.#recovery) as never,
      // The journal decides how long a client may be away. Middlewares must run: else recovery walks around them.
      connectionStateRecovery: { skipMiddlewares: false },
    });
  }

  #newEngine(app: RoutedApp, limits: ConnectionLimits): FeedEngine {
    const { boundary, events, maxPayload, memory, refusals } = this.#options;
    const guard = new FloodGuard({
      ...this.#options.limits,
      maxPayload,
      onFlood: (connection, kind) => {
        this.#causes.set(connection, FLOOD);
        events.flooded(kind);
      },
    });
    const endOn =
      (stage: FaultStage) =>
      (connection: { readonly id: string; close(): unknown }, error: unknown): void =>
        boundary.fault(stage, `connection ${connection.id}`, error, () => connection.close());
    const clients = new FastClients(this.sio, endOn('event'));
    const fast: FastHandlers = {
      onConnection: (connection) => {
        limits.count(connection);
        clients.serve(connection);
      },
      admits: (connection, bytes, kind) => guard.admits(connection, bytes, kind),
      admitsPing: (transport, connection, bytes) => guard.admitsPing(transport, connection, bytes),
      onFault: endOn('timer'),
    };
    const oversized = sizeRefusals({
      maxPayload,
      events,
      log: refusals,
      onCut: (connection, cause) => this.#causes.set(connection, cause),
      memory,
      sessions: () => this.#engine.sessions(),
    });
    const engine = new FeedEngine(app, this.#options, this.#admission, fast, oversized);
    // Before Socket.IO listens, so that a flood is cut before it is worked on.
    engine.server.on('connection', (connection: Connection) => {
      limits.count(connection);
      guard.watch(connection);
    });
    return engine;
  }

  /** Does work for a client, which is closed when that throws. */
  #serve(socket: FeedSocket, work: () => void): void {
    const { conn } = socket;
    this.#options.boundary.run(
      'event',
      () => `client ${socket.id}`,
      work,
      () => conn.close(),
    );
  }

  #onRefused(reason: ConnectRefusal, fields: RefusalFields): void {
    this.#options.events.refused(reason);
    this.#options.refusals.note(reason, fields);
  }

  #onConnect(socket: FeedSocket): void {
    const { log, events, feed } = this.#options;
    const connection = socket.conn;
    events.connected();
    log.info({ sid: socket.id, transport: connection.transport.name, recovered: socket.recovered }, 'client connected');
    const { expires, user } = socket.data;
    if (user !== undefined) void socket.join(roomOfUser(user));
    const forget = expires === undefined ? undefined : this.#expiry.add(socket, expires);
    let leave: (() => void) | undefined;
    socket.on('disconnect', (reason) => {
      const isSlow = this.#engine.wasSlow(connection);
      const known = this.#causes.get(connection) ?? (this.#drain.has(connection) ? DRAINED : reason);
      const cause = isSlow ? SLOW_CLIENT : known;
      if (isSlow) events.slow();
      this.#middleware.leave(socket);
      forget?.();
      leave?.();
      events.disconnected(cause);
      log.info({ sid: socket.id, reason: cause }, 'client disconnected');
    });
    const { resume } = socket.data;
    if (resume !== undefined) {
      this.#greet(socket, formatOffset(resume));
      leave = this.#subscriptions.listen(socket, this.#resume(socket, resume));
      return;
    }
    leave = this.#subscriptions.listen(socket, undefined);
    const head = formatOffset(feed.head());
    this.#greet(socket, head);
    for (const packet of feed.statuses()) connection.write(packet);
    const { pid, offset } = socket.handshake.auth as Record<string, unknown>;
    if (typeof pid === 'string' && typeof offset === 'string') {
      this.#tellGap(socket, this.#recovery.reasonFor(offset), offset.slice(0, MAX_ECHO_LENGTH), head);
    }
    this.#goLive(socket);
  }

  /** Written as a packet, since `socket.emit` would be shared with the other pods by the adapter. */
  #greet(socket: FeedSocket, offset: string): void {
    socket.conn.write(encodeEvent('welcome', this.#welcome, offset));
  }

  #tellGap(socket: FeedSocket, reason: GapReason, requested: string, resumed: string): void {
    socket.conn.write(encodeGap({ reason, requested, resumed }));
  }

  /** From here on the client gets what is published. */
  #goLive(socket: FeedSocket): void {
    void socket.join(roomsOfClient(socket.data.topics ?? new Set(), socket.id));
  }

  async #resume(socket: FeedSocket, from: Offset): Promise<void> {
    const { feed, events, log, maxBackpressure, compression } = this.#options;
    const connection = socket.conn;
    const target = replayTarget({
      connection,
      rooms: new Set(roomsOfClient(socket.data.topics ?? new Set(), socket.id)),
      encode: (entry) => feed.encode(entry),
      // Half of the limit, so that what comes on top of it (a heartbeat, a broadcast) does not cut the client.
      window: Math.min(REPLAY_WINDOW, maxBackpressure / 2),
      compress: compression !== 0,
      isOpen: () => socket.connected && connection.readyState === 'open' && !this.#engine.wasSlow(connection),
      onReplayed: (entries) => events.replayed(entries),
    });
    try {
      const end = await replay(feed, target, from, () => this.#goLive(socket));
      if (typeof end !== 'object') return;
      this.#tellGap(socket, 'expired', formatOffset(end.lostAfter), formatOffset(feed.head()));
      this.#goLive(socket);
    } catch (error) {
      // Redis went away in the middle: the client comes again with the offset it has got to.
      log.debug({ sid: socket.id, err: error }, 'a replay was interrupted');
      connection.close(true);
    }
  }
}
