import type { Logger } from 'pino';
import { Admission } from '../access/admission.js';
import { ClientAddress } from '../access/client-address.js';
import { ConnectionLimits } from '../access/connection-limits.js';
import { RecoveryBackoff } from '../access/recovery-backoff.js';
import { Expiry } from '../access/expiry.js';
import { keyFaults } from '../access/key-set.js';
import type { MemoryPressure } from '../access/memory-pressure.js';
import type { OriginPolicy } from '../access/origin-policy.js';
import type { RefusalLog } from '../access/refusal-log.js';
import { sizeWarnings } from '../access/sizes.js';
import { type TokenOptions, TokenVerifier } from '../access/token-verifier.js';
import type { Welcome } from '../contract/events.js';
import type { Offset } from '../contract/offset.js';
import { ChosenTopics } from '../delivery/chosen-topics.js';
import type { LivePublisher } from '../delivery/delivery.js';
import type { Published } from '../delivery/fanout.js';
import { Recovery } from '../delivery/recovery.js';
import type { Scheduler } from '../delivery/scheduler.js';
import type { TopicStore } from '../delivery/topic-store.js';
import type { ErrorBoundary } from '../http/error-boundary.js';
import type { RoutedApp } from '../http/guarded-app.js';
import type { Resolution } from '../journal/journal.js';
import type { AdapterFactory } from './adapter.js';
import { ClientSession, type ConnectionEvents, type SessionServices } from './client-session.js';
import { ConnectMiddleware } from './connect-middleware.js';
import { Drain, type DrainOptions } from './drain.js';
import { EndCauses } from './end-causes.js';
import { BufferSample } from './engine/buffer-sample.js';
import type { EngineOptions, FeedEngine } from './engine/engine.js';
import { parser } from './engine/parser.js';
import { GatewayServer } from './feed-server.js';
import type { FeedServer, FeedSocket } from './feed-socket.js';
import { type GuardedEngine, type GuardLimits, guardedEngine } from './guarded-engine.js';
import { type OtherPods, PodCalls } from './pod-calls.js';
import { Rooms } from './rooms.js';
import { TopicCounts } from './topic-counts.js';

/** What the manager asks of the feed. */
export interface FeedSource {
  /** The place that live clients are at. */
  place(): Offset;
  /** As in `Journal.resolve`. */
  resolve(offset: Offset): Promise<Resolution>;
  /** The newest status of every service, as encoded packets without offsets. */
  statuses(): Iterable<string>;
  /** What the gateway last reported about itself, as an encoded packet; `undefined` if it never did. */
  ownStatus(): string | undefined;
}

/** How the manager is set up. */
export interface WebSocketManagerOptions extends EngineOptions {
  readonly welcomeMessage: string;
  readonly origins: OriginPolicy;
  /** Where refusals are written. */
  readonly refusals: RefusalLog;
  /** What keeps an error in the service of one client from the others. */
  readonly boundary: ErrorBoundary;
  readonly limits: GuardLimits;
  /** As `ClientAddress` takes it. */
  readonly trustProxy: number | readonly string[] | undefined;
  /** Unset: clients need no token. */
  readonly jwt: TokenOptions | undefined;
  readonly memory: MemoryPressure;
  /** What this pod says about itself; JSON. */
  readonly describe: () => object;
  /** Unset: there are none. */
  readonly otherPods?: OtherPods;
  readonly connectTimeoutMs: number;
  /** Unset: Socket.IO's adapter in memory. */
  readonly adapter?: AdapterFactory;
  /** Where the topics are kept that clients choose while connected. */
  readonly topicStore: TopicStore;
  /** Calls back whenever something that recovery needs may be reachable again. Unset: it always is. */
  readonly onReachable?: (listener: () => void) => void;
  readonly feed: FeedSource;
  /** Serves clients that are not live. */
  readonly scheduler: Scheduler;
  readonly events: ConnectionEvents;
  readonly log: Logger;
}

/**
 * Everything about Socket.IO connections: who may connect, what they are sent, how packets reach them.
 *
 * One a process: uWebSockets.js apps share a loop.
 */
export class WebSocketManager implements LivePublisher {
  /** The Socket.IO server. */
  readonly sio: FeedServer;
  /** Asks all pods. */
  readonly pods: PodCalls;
  readonly #options: WebSocketManagerOptions;
  readonly #admission: Admission;
  readonly #connectionLimits: ConnectionLimits;
  readonly #guarded: GuardedEngine;
  readonly #engine: FeedEngine;
  readonly #rooms: Rooms;
  readonly #topicCounts = new TopicCounts();
  readonly #buffers: BufferSample;
  readonly #causes = new EndCauses();
  readonly #drain = new Drain((connection) => this.#causes.note(connection, 'drained'));
  readonly #expiry = new Expiry<FeedSocket>((socket) => this.#expire(socket));
  readonly #addresses: ClientAddress;
  readonly #backoff = new RecoveryBackoff();
  readonly #chosen: ChosenTopics;
  readonly #middleware: ConnectMiddleware;
  readonly #sessions: SessionServices;
  #pollingCount = 0;

  /** Attaches Socket.IO to the app; it serves as soon as the app listens. */
  constructor(app: RoutedApp, options: WebSocketManagerOptions) {
    const { events, feed, limits, log, memory, topicStore } = options;
    this.#options = options;
    for (const warning of sizeWarnings({ ...limits, maxPayload: options.maxPayload })) log.warn(warning);
    const recovery = new Recovery({
      resolve: (offset) => feed.resolve(offset),
      claimTopics: (pid) => topicStore.claim(pid),
      onResult: (result) => events.recovery(result),
    });
    this.sio = newServer(options, recovery);
    this.pods = new PodCalls(this.sio, options.otherPods, options.describe);
    this.#addresses = new ClientAddress(options.trustProxy);
    const connectionLimits = new ConnectionLimits(limits, {
      addresses: this.#addresses,
      memory,
      backoff: this.#backoff,
      connections: () => this.connections - this.#guarded.unjoined.size,
      makeRoom: () => this.#guarded.makeRoom(),
    });
    this.#connectionLimits = connectionLimits;
    this.#admission = new Admission({ origins: options.origins, limits: connectionLimits });
    const guards = { engine: options, admission: this.#admission, connectionLimits, causes: this.#causes };
    this.#guarded = guardedEngine(app, this.sio, { ...options, ...guards });
    this.#engine = this.#guarded.engine;
    this.sio.bind(this.#engine.server);
    const root = this.sio.of('/');
    this.#rooms = new Rooms(app, options.compression !== 0);
    this.#buffers = new BufferSample(root.sockets);
    this.#chosen = new ChosenTopics(topicStore, log);
    options.onReachable?.(() => void this.#recoverAgain(recovery));
    this.#middleware = this.#newMiddleware();
    this.#sessions = this.#sessionServices(recovery);
    this.sio.use((socket, next) => {
      this.#serve(socket, () => {
        if (this.#hasRoom(socket)) this.#middleware.admit(socket, next);
      });
    });
    this.sio.on('connect', (socket) => {
      this.#guarded.unjoined.leave(socket.conn);
      this.#serve(socket, () => new ClientSession(socket, this.#sessions).start());
    });
  }

  /** Clients that have an Engine.IO session, including those that are still connecting. */
  get connections(): number {
    return this.#engine.server.clientsCount;
  }

  /** Clients that have joined. */
  get clients(): number {
    return this.sio.of('/').sockets.size;
  }

  /** Clients by the transport they are on. */
  transports(): Record<'websocket' | 'polling', number> {
    const polling = this.#pollingCount;
    return { polling, websocket: Math.max(0, this.sio.of('/').sockets.size - polling) };
  }

  /** Bytes that wait to be read by clients: see {@link BufferSample.read}. */
  bufferedBytes(): number {
    return this.#buffers.read();
  }

  /** Topics that somebody on this pod is subscribed to. */
  get topics(): number {
    return this.#topicCounts.size;
  }

  /**
   * Sends an encoded packet to the live clients of the rooms on this pod.
   *
   * @param encode - as in `RoomPublisher`
   */
  publish(rooms: readonly string[], encode: (hasChosen: boolean) => string): Published {
    // The feed never fills a client so far that uWebSockets.js drops something; emits of an application may. Such a client must
    // be gone before the next packet, or it would have a hole (docs/ordering.md).
    this.#engine.cutSlow();
    return this.#rooms.publish(rooms, encode);
  }

  /** Pings every live client, behind what was published before. */
  ping(): void {
    this.#rooms.ping();
  }

  /** Takes no new clients; those that are connected stay. */
  refuseNew(): void {
    this.#admission.stopping = true;
  }

  /** Disconnects the clients so that they reconnect elsewhere, as {@link Drain} says. */
  drain(options: DrainOptions): Promise<void> {
    return this.#drain.run(this.#engine.sessions(), () => this.connections, options);
  }

  /** Saves again what is kept about connected clients outside of this process: it may have been lost there. */
  renewKept(): void {
    void this.#chosen.renew();
  }

  /** Closes every connection so that the stock client reconnects, elsewhere. May be called twice. */
  async close(): Promise<void> {
    this.refuseNew();
    this.#chosen.close();
    this.#expiry.close();
    await this.sio.close();
  }

  /**
   * What recovery needs may be reachable again. Topics are saved first: those who wait for them must find them
   * (docs/ordering.md).
   */
  async #recoverAgain(recovery: Recovery): Promise<void> {
    this.#backoff.clear();
    await this.#chosen.saveUnsaved();
    recovery.wake();
  }

  #newMiddleware(): ConnectMiddleware {
    const { boundary, events, jwt, log, memory, refusals } = this.#options;
    return new ConnectMiddleware({
      tokens: jwt && new TokenVerifier(jwt, { onChange: keyFaults(log) }),
      isShort: () => memory.isHigh,
      onUnrecoverable: ({ remoteAddress, request }) => {
        // It has left already.
        if (remoteAddress === '') return;
        const forwarded = request.headers['x-forwarded-for'];
        this.#backoff.note(this.#addresses.of(remoteAddress, String(forwarded ?? '')), performance.now());
      },
      onRefused: (reason, fields) => {
        events.refused(reason);
        refusals.note(reason, fields);
      },
      boundary,
      log,
    });
  }

  #sessionServices(recovery: Recovery): SessionServices {
    const { events, feed, log, memory, scheduler, welcomeMessage, compression } = this.#options;
    const welcome: Welcome = { message: welcomeMessage };
    return {
      scheduler,
      rooms: this.#rooms,
      topicCounts: this.#topicCounts,
      subscriptions: {
        chosen: this.#chosen,
        onAnswer: (result) => events.subscribed(result),
        isShort: () => memory.isHigh,
        log,
      },
      causes: this.#causes,
      engine: this.#engine,
      events,
      expiry: this.#expiry,
      feed,
      middleware: this.#middleware,
      recovery,
      welcomeJson: JSON.stringify(welcome),
      compress: compression !== 0,
      countPolling: (change) => (this.#pollingCount += change),
      log,
    };
  }

  /** Whether a client on long-polling, which has taken no place so far, finds one as it joins; if not it is closed. */
  #hasRoom(socket: FeedSocket): boolean {
    if (!this.#guarded.unjoined.has(socket.conn) || !this.#connectionLimits.isFull) return true;
    const { events, refusals } = this.#options;
    events.refused('max_connections');
    refusals.note('max_connections', { transport: 'polling' });
    socket.conn.close(true);
    return false;
  }

  /** Does work for a client, which is closed when that throws. */
  #serve(socket: FeedSocket, work: () => void): void {
    const close = (): unknown => socket.conn.close();
    this.#options.boundary.run({ stage: 'event', subject: () => `client ${socket.id}` }, work, close);
  }

  #expire(socket: FeedSocket): void {
    this.#causes.note(socket.conn, 'token expired');
    // Not `disconnect`, after which the stock client would not reconnect with a fresh token.
    const close = (): unknown => socket.conn.close();
    this.#options.boundary.run({ stage: 'timer', subject: () => `client ${socket.id}` }, close);
  }
}

function newServer(options: WebSocketManagerOptions, recovery: Recovery): FeedServer {
  const { adapter, boundary, connectTimeoutMs } = options;
  const serverOptions = { serveClient: false, connectTimeout: connectTimeoutMs, parser, ...(adapter && { adapter }) };
  return new GatewayServer(serverOptions, {
    recover: (pid, offset) => recovery.restore(pid, offset),
    onFault: (socket, error) => {
      boundary.fault({ stage: 'event', subject: `client ${socket.id}`, error }, () => socket.conn.close());
    },
  });
}
