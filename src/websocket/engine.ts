import { type Socket as Connection, uServer } from 'engine.io';
import type { HttpRequest, HttpResponse, WebSocket, WebSocketBehavior } from 'uWebSockets.js';
import type { RoutedApp } from '../uws.js';
import type { Admission } from './admission.js';
import type { OriginPolicy } from './origin.js';

/** How the Engine.IO server is set up. */
export interface EngineOptions {
  readonly transports: readonly ('websocket' | 'polling')[];
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly maxPayload: number;
  readonly maxBackpressure: number;
}

/** The transport of a WebSocket client, as engine.io's uWebSockets.js transport keeps it. */
interface SocketHolder {
  readonly transport: { readonly name: string; readonly socket?: WebSocket<unknown> };
}

/** The uWebSockets.js socket of a connection, or `undefined` while it is on long-polling or no longer open. */
export function nativeSocket(connection: Connection): WebSocket<unknown> | undefined {
  if (connection.readyState !== 'open') return undefined;
  const { transport } = connection as unknown as SocketHolder;
  return transport.name === 'websocket' ? transport.socket : undefined;
}

/**
 * Sends packets in order, in one write where the transport can. The caller sees to it that there is room for them: one
 * that has none would be dropped.
 */
export function sendAll(connection: Connection, packets: readonly string[]): void {
  const native = nativeSocket(connection);
  if (native === undefined) {
    for (const packet of packets) connection.write(packet);
    return;
  }
  native.cork(() => {
    for (const packet of packets) native.send(`4${packet}`);
  });
}

/** Bytes that wait to be read by a client; for one on long-polling, about. */
export function bufferedBytes(connection: Connection): number {
  const native = nativeSocket(connection);
  if (native !== undefined) return native.getBufferedAmount();
  let size = 0;
  for (const { data } of (connection as unknown as { writeBuffer: readonly { data?: string }[] }).writeBuffer) {
    size += data?.length ?? 0;
  }
  return size;
}

/** Socket.IO CONNECT packets taken on one connection; a client sends one for each namespace, and there is one. */
const MAX_CONNECTS = 4;

/** Cuts a client that asks for more and more sockets on one connection: each would cost a greeting and a session. */
function limitConnects(connection: Connection): void {
  let connects = 0;
  connection.on('data', (data: unknown) => {
    if (typeof data === 'string' && data.startsWith('0') && ++connects > MAX_CONNECTS) connection.close(true);
  });
}

const SOCKET_PATH = '/socket.io/';

/** uWebSockets.js takes 8 to 960 seconds, or 0 for never. */
function idleTimeout({ pingInterval, pingTimeout }: EngineOptions): number {
  const heartbeat = Math.ceil((pingInterval + pingTimeout) / 1000) + 8;
  return heartbeat > 960 ? 0 : Math.max(heartbeat, 16);
}

/** A WebSocket's user data as engine.io sets it. */
interface UserData {
  readonly transport: object;
}

/**
 * An Engine.IO server on an app of uWebSockets.js.
 *
 * Socket.IO's own `attachApp` is not used: it replaces methods of the global `Adapter.prototype`, sets no limit on what
 * is buffered for a slow reader, and needs a middleware for CORS.
 */
export class FeedEngine {
  readonly server: uServer;
  /** Transports whose client was cut because it did not read. */
  readonly #slow = new WeakSet<object>();
  /** Sockets to be closed before anything else is sent. */
  readonly #toCut = new Set<WebSocket<UserData>>();

  constructor(app: RoutedApp, options: EngineOptions, admission: Admission, origins: OriginPolicy) {
    const engineOptions = {
      transports: [...options.transports],
      pingInterval: options.pingInterval,
      pingTimeout: options.pingTimeout,
      maxHttpBufferSize: options.maxPayload,
      // Compression ends in a later turn of the loop and then writes to a response whose client may be gone, which
      // uWebSockets.js answers with an exception.
      httpCompression: false,
    };
    this.server = new uServer(engineOptions);
    // Registered before Socket.IO's own listener, so that a flood is cut before it is worked on.
    this.server.on('connection', (connection: Connection) => limitConnects(connection));
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

  /** Whether a connection was cut because more than the limit was waiting for it. */
  wasSlow(connection: Connection): boolean {
    return this.#slow.has((connection as unknown as SocketHolder).transport);
  }

  /** Marks a connection as cut for being slow. */
  markSlow(connection: Connection): void {
    this.#slow.add((connection as unknown as SocketHolder).transport);
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
          if (admission.admit(res, req)) handler(res, req);
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
    const { upgrade } = behavior;
    app.ws<UserData>(path, {
      ...behavior,
      idleTimeout: idleTimeout(options),
      // Engine.IO has heartbeats of its own.
      sendPingsAutomatically: false,
      maxBackpressure: options.maxBackpressure,
      // Without this, messages of a slow reader are dropped in silence and it stays connected.
      closeOnBackpressureLimit: true,
      upgrade: (res, req, context) => {
        if (admission.admit(res, req)) void upgrade?.(res, req, context);
      },
      dropped: (ws) => {
        const { transport } = ws.getUserData();
        if (this.#slow.has(transport)) return;
        this.#slow.add(transport);
        // Closing the socket inside this callback would end the process.
        this.#toCut.add(ws);
        setImmediate(() => this.cutSlow());
      },
    });
  }
}
