import { type Socket as Connection, uServer } from 'engine.io';
import type { CompressOptions, HttpRequest, HttpResponse, WebSocket, WebSocketBehavior } from 'uWebSockets.js';
import { sendBody } from '../send-body.js';
import type { RoutedApp } from '../uws.js';
import type { Admission } from './admission.js';
import { limitBacklog } from './backlog.js';
import { SOCKET_PATH, forwardedFor } from './handshake.js';
import { MAX_CONNECTS } from './lean-client.js';
import { LeanConnection } from './lean-connection.js';
import { type LeanHandlers, LeanServer } from './lean-server.js';
import type { OriginPolicy } from './origin.js';
import { type PollingRequest, PollingTransport, waitingCharacters } from './polling-transport.js';

/** How the Engine.IO server is set up. */
export interface EngineOptions {
  readonly transports: readonly ('websocket' | 'polling')[];
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly maxPayload: number;
  readonly maxBackpressure: number;
  /** A compressor of uWebSockets.js; 0 is none. */
  readonly compression: CompressOptions;
}

/** The transport of a WebSocket client, as engine.io's uWebSockets.js transport keeps it. */
interface SocketHolder {
  readonly transport: { readonly name: string; readonly socket?: WebSocket<unknown> };
}

/** A connection that is one of ours, which Socket.IO takes for one of engine.io's. */
function leanOf(connection: object): LeanConnection | undefined {
  return connection instanceof LeanConnection ? connection : undefined;
}

/** The uWebSockets.js socket of a connection, or `undefined` while it is on long-polling or no longer open. */
export function nativeSocket(connection: Connection): WebSocket<unknown> | undefined {
  const lean = leanOf(connection);
  if (lean !== undefined) return lean.native;
  if (connection.readyState !== 'open') return undefined;
  const { transport } = connection as unknown as SocketHolder;
  return transport.name === 'websocket' ? transport.socket : undefined;
}

/**
 * Sends packets in order, in one write where the transport can. The caller sees to it that there is room for them: one
 * that has none would be dropped.
 */
export function sendAll(connection: Connection, packets: readonly string[], compress: boolean): void {
  const native = nativeSocket(connection);
  if (native === undefined) {
    for (const packet of packets) connection.write(packet);
    return;
  }
  native.cork(() => {
    for (const packet of packets) native.send(`4${packet}`, false, compress);
  });
}

/** Bytes that wait to be read by a client; for one on long-polling, about. */
export function bufferedBytes(connection: Connection): number {
  const native = nativeSocket(connection);
  if (native !== undefined) return native.getBufferedAmount();
  return waitingCharacters(connection);
}

/** Cuts a client that asks for more and more sockets on one connection: each would cost a greeting and a session. */
function limitConnects(connection: Connection): void {
  let connects = 0;
  connection.on('data', (data: unknown) => {
    if (typeof data === 'string' && data.startsWith('0') && ++connects > MAX_CONNECTS) connection.close(true);
  });
}

/**
 * Whether a request for a WebSocket says that it is long-polling. engine.io believes it, and then takes the WebSocket for
 * a polling request, which ends the process.
 */
function asksForPolling(req: HttpRequest): boolean {
  return new URLSearchParams(req.getQuery()).getAll('transport').at(-1) === 'polling';
}

/** Has engine.io keep all lines of `X-Forwarded-For` as one; of a header that comes more than once it keeps the last. */
function joinForwarded(server: uServer): void {
  const inside = server as unknown as {
    prepare(req: HttpRequest & { headers: Record<string, string> }, res: HttpResponse): void;
  };
  const prepare = inside.prepare.bind(server);
  inside.prepare = (req, res) => {
    prepare(req, res);
    const forwarded = forwardedFor(req);
    if (forwarded !== '') req.headers['x-forwarded-for'] = forwarded;
  };
}

/** As engine.io answers what it does not understand. */
function answerBadRequest(res: HttpResponse): void {
  res.cork(() => {
    res.writeStatus('400 Bad Request').writeHeader('Content-Type', 'application/json');
    sendBody(res, '{"code":3,"message":"Bad request"}');
  });
}

/** A response that engine.io ends with {@link sendBody}. */
function unhurried(res: HttpResponse): HttpResponse {
  const end = res.end.bind(res);
  return Object.assign(res, {
    end(body?: string | Uint8Array): HttpResponse {
      if (body === undefined) return end();
      sendBody(res, body);
      return res;
    },
  });
}

/** uWebSockets.js takes 8 to 960 seconds, or 0 for never. */
function idleTimeout({ pingInterval, pingTimeout }: EngineOptions): number {
  const heartbeat = Math.ceil((pingInterval + pingTimeout) / 1000) + 8;
  return heartbeat > 960 ? 0 : Math.max(heartbeat, 16);
}

/** A WebSocket's user data: as engine.io sets it, or a connection of ours. */
type UserData = { readonly transport: object } | { readonly connection: LeanConnection };

/** engine.io's server, which closes our connections too. */
class EngineServer extends uServer {
  lean: LeanServer | undefined = undefined;

  // The base class lets a request that is no WebSocket pass for a session that is on one, and nobody answers it then.
  protected override verify(...[req, upgrade, done]: Parameters<uServer['verify']>): void | boolean {
    return super.verify(req, upgrade, (code, context) => {
      const isAstray = code === undefined && !upgrade && req._query['transport'] === 'websocket';
      if (isAstray) done(uServer.errors.BAD_REQUEST, { name: 'TRANSPORT_MISMATCH' });
      else done(code, context);
    });
  }

  protected override createTransport(...[name, req]: Parameters<uServer['createTransport']>): unknown {
    if (name !== 'polling') return super.createTransport(name, req);
    return new PollingTransport(req as unknown as PollingRequest);
  }

  override close(): this {
    this.lean?.close();
    return super.close();
  }
}

/**
 * An Engine.IO server on an app of uWebSockets.js.
 *
 * Sessions that begin on a WebSocket are {@link LeanConnection}s; long-polling, and what upgrades from it, is left to
 * engine.io. Both are counted in `server.clientsCount`.
 *
 * Socket.IO's own `attachApp` is not used: it replaces methods of the global `Adapter.prototype`, sets no limit on what
 * is buffered for a slow reader, and needs a middleware for CORS.
 */
export class FeedEngine {
  readonly server: EngineServer;
  readonly #handlers: LeanHandlers;
  /** Transports whose client was cut because it did not read. */
  readonly #slow = new WeakSet<object>();
  /** Sockets to be closed before anything else is sent. */
  readonly #toCut = new Set<WebSocket<UserData>>();

  /** @param lean - for connections whose session began on a WebSocket; others are events of `server` */
  constructor(app: RoutedApp, options: EngineOptions, admission: Admission, origins: OriginPolicy, lean: LeanHandlers) {
    const engineOptions = {
      transports: [...options.transports],
      pingInterval: options.pingInterval,
      pingTimeout: options.pingTimeout,
      maxHttpBufferSize: options.maxPayload,
      // Compression ends in a later turn of the loop and then writes to a response whose client may be gone, which
      // uWebSockets.js answers with an exception.
      httpCompression: false,
    };
    this.server = new EngineServer(engineOptions);
    this.#handlers = lean;
    joinForwarded(this.server);
    if (options.transports.includes('websocket')) {
      const count = (change: number): unknown => (this.server.clientsCount += change);
      this.server.lean = new LeanServer(options, count, lean);
    }
    // Registered before Socket.IO's own listener, so that a flood is cut before it is worked on.
    this.server.on('connection', (connection: Connection) => {
      const { transport } = connection;
      if (transport instanceof PollingTransport) transport.serve(connection, (code) => lean.onPollingRefused(code));
      limitConnects(connection);
      limitBacklog(connection, options.maxBackpressure, () => this.markSlow(connection));
    });
    // The browser reads these on polling responses; a WebSocket handshake has no use for them.
    this.server.on(
      'headers',
      (headers: Record<string, string>, req: { headers: Record<string, string>; _query: Record<string, string> }) => {
        if (req._query['transport'] !== 'polling') return;
        for (const [name, value] of origins.headers(req.headers['origin'] ?? '')) headers[name] = value;
      },
    );
    app.options(SOCKET_PATH, (res, req) => {
      const origin = req.getHeader('origin');
      res.cork(() => {
        res.writeStatus('204 No Content');
        for (const [name, value] of origins.headers(origin)) res.writeHeader(name, value);
        res.writeHeader('Access-Control-Allow-Methods', 'GET, POST');
        res.writeHeader('Access-Control-Allow-Headers', 'Content-Type, Authorization');
        res.writeHeader('Access-Control-Max-Age', '600');
        res.endWithoutBody();
      });
    });
    this.server.attach(this.#guarded(app, options, admission), { path: SOCKET_PATH, ...engineOptions });
  }

  /** Every Engine.IO session that is open, on whatever transport. */
  sessions(): Connection[] {
    // Typed as engine.io's own business, and yet its only list.
    const { clients } = this.server as unknown as { clients: Readonly<Record<string, Connection>> };
    return [...Object.values(clients), ...((this.server.lean?.all() ?? []) as unknown as Connection[])];
  }

  /** Whether a connection was cut because more than the limit was waiting for it. */
  wasSlow(connection: Connection): boolean {
    return leanOf(connection)?.isSlow ?? this.#slow.has((connection as unknown as SocketHolder).transport);
  }

  /** Marks a connection as cut for being slow. */
  markSlow(connection: Connection): void {
    const lean = leanOf(connection);
    if (lean !== undefined) lean.isSlow = true;
    else this.#slow.add((connection as unknown as SocketHolder).transport);
  }

  /** Closes the clients for which a message was dropped: what they have got is without a hole until then. */
  cutSlow(): void {
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

  /** The app as engine.io sees it: every request passes admission, and every WebSocket has limits. */
  #guarded(app: RoutedApp, options: EngineOptions, admission: Admission): unknown {
    return {
      any: (path: string, handler: (res: HttpResponse, req: HttpRequest) => void) => {
        app.any(path, (res, req) => {
          if (admission.admit(res, req)) handler(unhurried(res), req);
        });
        return {
          ws: (wsPath: string, behavior: WebSocketBehavior<UserData>) =>
            this.#addWebSocket(app, wsPath, behavior, options, admission),
        };
      },
    };
  }

  #addWebSocket(
    app: RoutedApp,
    path: string,
    behavior: WebSocketBehavior<UserData>,
    options: EngineOptions,
    admission: Admission,
  ): void {
    const { lean } = this.server;
    app.ws<UserData>(path, {
      ...behavior,
      compression: options.compression,
      idleTimeout: idleTimeout(options),
      // Engine.IO has heartbeats of its own.
      sendPingsAutomatically: false,
      maxBackpressure: options.maxBackpressure,
      // Without this, messages of a slow reader are dropped in silence and it stays connected.
      closeOnBackpressureLimit: true,
      upgrade: (res, req, context) => {
        if (!admission.admit(res, req)) return;
        const connection = lean?.accept(req);
        if (connection === undefined) {
          if (asksForPolling(req)) answerBadRequest(res);
          else void behavior.upgrade?.(unhurried(res), req, context);
          return;
        }
        const key = req.getHeader('sec-websocket-key');
        const protocol = req.getHeader('sec-websocket-protocol');
        const extensions = req.getHeader('sec-websocket-extensions');
        res.upgrade<UserData>({ connection }, key, protocol, extensions, context);
      },
      open: (ws) => {
        const data = ws.getUserData();
        if ('connection' in data) lean?.open(data.connection, ws);
        else void behavior.open?.(ws);
      },
      message: (ws, message, isBinary) => {
        const data = ws.getUserData();
        if ('connection' in data) data.connection.take(message, isBinary);
        else void behavior.message?.(ws, message, isBinary);
      },
      ping: (ws, message) => this.#countPing(ws, message.byteLength),
      pong: (ws, message) => this.#countPing(ws, message.byteLength),
      close: (ws, code, message) => {
        const data = ws.getUserData();
        if ('connection' in data) data.connection.onNativeClosed();
        else behavior.close?.(ws, code, message);
      },
      dropped: (ws) => {
        if (!this.#isFirstDrop(ws.getUserData())) return;
        // Closing the socket inside this callback would end the process.
        this.#toCut.add(ws);
        setImmediate(() => this.cutSlow());
      },
    });
  }

  /** Counts a ping or pong of the WebSocket itself, of which nobody else learns; a client that floods is cut. */
  #countPing(ws: WebSocket<UserData>, bytes: number): void {
    const data = ws.getUserData();
    if ('connection' in data) {
      data.connection.takePing(bytes);
      return;
    }
    const { transport } = data;
    const session = (): object | undefined => this.sessions().find((one) => one.transport === transport);
    if (!this.#handlers.admitsPing(transport, session, bytes)) ws.close();
  }

  /** Notes that a message for this client was dropped. */
  #isFirstDrop(data: UserData): boolean {
    if ('connection' in data) {
      if (data.connection.isSlow) return false;
      data.connection.isSlow = true;
      return true;
    }
    if (this.#slow.has(data.transport)) return false;
    this.#slow.add(data.transport);
    return true;
  }
}
