import type { Socket as Connection } from 'engine.io';
import type { CompressOptions } from 'uWebSockets.js';
import type { Admission } from '../../access/admission.js';
import type { Handler, RoutedApp, SocketBehavior } from '../../http/guarded-app.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import { isConnect } from '../../contract/packet.js';
import { limitBacklog } from './backlog.js';
import { answerConnectionError } from './engine-refusals.js';
import { EngineServer } from './engine-server.js';
import { MAX_CONNECTS } from './fast-client.js';
import { type FastHandlers, FastServer, type OversizedHandlers } from './fast-server.js';
import { SOCKET_PATH, SOCKET_PATHS } from './handshake.js';
import { asConnection } from './native-socket.js';
import { oversizedBytes, passBy } from './oversized-body.js';
import { PollingTransport } from './polling-transport.js';
import { SlowClients } from './slow-clients.js';
import type { SocketData } from './socket-data.js';
import { WebSocketRoute } from './websocket-route.js';

/** How the Engine.IO server is set up. */
export interface EngineOptions {
  readonly transports: readonly ('websocket' | 'polling')[];
  /** Between two pings of a client. */
  readonly pingIntervalMs: number;
  /** How long a client may take to answer a ping before its session ends. */
  readonly pingTimeoutMs: number;
  /** Bytes of the longest message that is worked on. */
  readonly maxPayload: number;
  /** Bytes that may wait for a client before it is cut. */
  readonly maxBackpressure: number;
  /** A compressor of uWebSockets.js; 0 is none. */
  readonly compression: CompressOptions;
}

/** Who decides about connections and is given them. */
export interface EngineHandlers {
  readonly admission: Admission;
  /** For connections whose session began on a WebSocket; others are events of {@link FeedEngine.server}. */
  readonly fast: FastHandlers;
  readonly oversized: OversizedHandlers;
}

/** Cuts a client that asks for more and more sockets on one connection: each would cost a greeting and a session. */
function limitConnects(connection: Connection): void {
  let connects = 0;
  connection.on('data', (data: unknown) => {
    if (typeof data === 'string' && isConnect(data) && ++connects > MAX_CONNECTS) connection.close(true);
  });
}

/** Ends a session whose client says over its WebSocket that it does; engine.io hears it over long-polling alone. */
function closeWhenAsked(connection: Connection): void {
  connection.on('packet', ({ type }: { type: string }) => {
    if (type === 'close') connection.transport.close();
  });
}

/**
 * An Engine.IO server on an app of uWebSockets.js.
 *
 * Sessions that begin on a WebSocket are `FastConnection`s; engine.io serves long-polling, and what upgrades from it. Both
 * are counted in `server.clientsCount`.
 *
 * Socket.IO's own `attachApp` is not used: it replaces methods of the global `Adapter.prototype`, sets no limit on what
 * is buffered for a slow reader, and needs a middleware for CORS.
 */
export class FeedEngine {
  readonly server: EngineServer;
  /** The clients that did not read. */
  readonly #slow = new SlowClients();
  readonly #options: EngineOptions;
  readonly #handlers: EngineHandlers;
  /** engine.io's connections by the WebSocket transport that they are on or about to be on. */
  readonly #byTransport = new WeakMap<object, Connection>();

  constructor(app: RoutedApp, options: EngineOptions, handlers: EngineHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    const engineOptions = {
      transports: [...options.transports],
      pingInterval: options.pingIntervalMs,
      pingTimeout: options.pingTimeoutMs,
      maxHttpBufferSize: options.maxPayload,
      // Compression ends in a later turn of the loop and then writes to a response whose client may be gone, which
      // uWebSockets.js answers with an exception.
      httpCompression: false,
    };
    this.server = new EngineServer(engineOptions);
    if (options.transports.includes('websocket')) {
      this.server.fast = new FastServer(options, (change) => this.server.count(change), handlers.fast);
    }
    // Registered before Socket.IO's own listener, so that a flood is cut before it is worked on.
    this.server.on('connection', (connection: Connection) => this.#watch(connection));
    this.server.on('connection_error', answerConnectionError);
    this.server.attach(this.#guarded(app), { path: SOCKET_PATH, ...engineOptions });
  }

  /** Every Engine.IO session that is open, on whatever transport. */
  sessions(): Connection[] {
    return [...this.server.sessions(), ...(this.server.fast?.all() ?? []).map(asConnection)];
  }

  /** Whether a connection was cut because more than the limit was waiting for it. */
  wasSlow(connection: Connection): boolean {
    return this.#slow.has(connection);
  }

  /** Marks a connection as cut for being slow. */
  markSlow(connection: Connection): void {
    this.#slow.mark(connection);
  }

  /** Closes the clients for which a message was dropped: what they received before has no hole. */
  cutSlow(): void {
    this.#slow.cut();
  }

  /** Limits a connection of engine.io's. */
  #watch(connection: Connection): void {
    if (connection.transport instanceof PollingTransport) connection.transport.serve(connection);
    limitConnects(connection);
    closeWhenAsked(connection);
    connection.on('upgrading', (transport: object) => this.#byTransport.set(transport, connection));
    limitBacklog(connection, this.#options.maxBackpressure, () => this.#slow.mark(connection));
  }

  /** The app as engine.io sees it: every request passes admission, and every WebSocket has limits. */
  #guarded(app: RoutedApp): unknown {
    const { admission, fast, oversized } = this.#handlers;
    const route = new WebSocketRoute({
      engine: this.#options,
      admission,
      fast: this.server.fast,
      handlers: fast,
      oversized,
      slow: this.#slow,
      isSecond: (req) => this.server.isSecondWebSocket(req),
      connectionOn: (transport) => this.#byTransport.get(transport),
    });
    return {
      any: (_path: string, handler: Handler) => {
        for (const path of SOCKET_PATHS) {
          app.any(path, (res, req) => {
            if (!admission.admit(res, req) || this.#passesBy(res, req)) return undefined;
            return handler(res, req);
          });
        }
        return {
          ws: (_wsPath: string, inner: SocketBehavior<SocketData>) => {
            for (const path of SOCKET_PATHS) app.ws<SocketData>(path, route.behavior(inner));
          },
        };
      },
    };
  }

  /** Whether a request is a message over long-polling that is too large; it is answered then. */
  #passesBy(res: GuardedResponse, req: GuardedRequest): boolean {
    const bytes = oversizedBytes(req, this.#options.maxPayload);
    if (bytes === 0) return false;
    const sid = new URLSearchParams(req.getQuery()).getAll('sid').at(-1) ?? '';
    const connection = this.server.session(sid);
    if (connection?.transport.name !== 'polling') return false;
    passBy(res, {
      refuse: (head) => {
        const isAnswered = this.#handlers.oversized.refuse(connection, head, bytes);
        if (!isAnswered) connection.close(true);
        return isAnswered;
      },
    });
    return true;
  }
}
