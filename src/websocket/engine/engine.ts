import { type BaseServer, type Socket as Connection, uServer } from 'engine.io';
import type { CompressOptions, WebSocket } from 'uWebSockets.js';
import type { Handler, RoutedApp, SocketBehavior } from '../../http/guarded-app.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import type { Admission } from '../../access/admission.js';
import { isConnect } from '../../contract/packet.js';
import { limitBacklog } from './backlog.js';
import { chooseOffer } from './compression-offer.js';
import { answerConnectionError, answerRefusal } from './engine-refusals.js';
import { SOCKET_PATH, SOCKET_PATHS } from './handshake.js';
import { ENGINE_PACKET } from './engine-packet.js';
import { EngineServerBase, checkInternals, insideOf } from './internals.js';
import { MAX_CONNECTS } from './fast-client.js';
import { FastConnection } from './fast-connection.js';
import { type FastHandlers, FastServer, type OversizedHandlers } from './fast-server.js';
import { CLOSE_TOO_LARGE, HEAD_BYTES, TOO_LARGE, takenAtMost } from './oversized.js';
import { oversizedBytes, passBy } from './oversized-body.js';
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
function fastOf(connection: object): FastConnection | undefined {
  return connection instanceof FastConnection ? connection : undefined;
}

/** The uWebSockets.js socket of a connection, or `undefined` while it is on long-polling or no longer open. */
export function nativeSocket(connection: Connection): WebSocket<unknown> | undefined {
  const fast = fastOf(connection);
  if (fast !== undefined) return fast.native;
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
    for (const packet of packets) native.send(ENGINE_PACKET.message + packet, false, compress);
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
    if (typeof data === 'string' && isConnect(data) && ++connects > MAX_CONNECTS) connection.close(true);
  });
}

/**
 * Whether a request for a WebSocket says that it is long-polling. engine.io believes it, and then takes the WebSocket for
 * a polling request, which ends the process.
 */
function asksForPolling(req: GuardedRequest): boolean {
  return new URLSearchParams(req.getQuery()).getAll('transport').at(-1) === 'polling';
}

const WEBSOCKET_VERSION = '13';

/** uWebSockets.js takes 8 to 960 seconds, or 0 for never. */
function idleTimeout({ pingInterval, pingTimeout }: EngineOptions): number {
  const heartbeat = Math.ceil((pingInterval + pingTimeout) / 1000) + 8;
  return heartbeat > 960 ? 0 : Math.max(heartbeat, 16);
}

/** A WebSocket's user data: as engine.io sets it, or a connection of ours. */
type UserData = { readonly transport: object } | { readonly connection: FastConnection };

/** How uWebSockets.js tells that it has closed a WebSocket for a message that is longer than it takes. */
const ABNORMAL = 1006;
const UWS_TOO_LARGE = 'Received too big message';

/** engine.io's server, which closes our connections too. */
class EngineServer extends EngineServerBase {
  fast: FastServer | undefined = undefined;

  // All lines of `X-Forwarded-For` as one; of a header that comes more than once the base class keeps the last.
  protected override prepare(req: GuardedRequest, res: GuardedResponse): void {
    const prepared: GuardedRequest = req;
    super.prepare(prepared, res);
    const forwarded = req.head.forwardedFor;
    if (forwarded !== '') prepared.headers['x-forwarded-for'] = forwarded;
  }

  // Two that the base class lets pass, and nobody answers then: a request that is no WebSocket, for a session that is on
  // one, and a WebSocket for a session that has one, or is about to.
  protected override verify(...[req, upgrade, done]: Parameters<BaseServer['verify']>): void | boolean {
    return super.verify(req, upgrade, (code, context) => {
      const { sid = '', transport } = req._query;
      const session = upgrade ? this.session(sid) : undefined;
      const { upgrading = false, upgraded = false } = session === undefined ? {} : insideOf(session);
      const isTaken = upgrading || upgraded;
      if (code === undefined && (isTaken || (!upgrade && transport === 'websocket')))
        done(uServer.errors.BAD_REQUEST, { name: 'TRANSPORT_MISMATCH' });
      else done(code, context);
    });
  }

  protected override createTransport(...[name, req]: Parameters<BaseServer['createTransport']>): unknown {
    if (name !== 'polling') return super.createTransport(name, req);
    return new PollingTransport(req as unknown as PollingRequest);
  }

  /** The sessions of engine.io's own. */
  sessions(): Connection[] {
    return Object.values(this.clients);
  }

  /** A session of engine.io's own; `undefined` if there is none with this id. */
  session(sid: string): Connection | undefined {
    return Object.hasOwn(this.clients, sid) ? this.clients[sid] : undefined;
  }

  override close(): this {
    this.fast?.close();
    return super.close();
  }
}

/**
 * An Engine.IO server on an app of uWebSockets.js.
 *
 * Sessions that begin on a WebSocket are {@link FastConnection}s; long-polling, and what upgrades from it, is left to
 * engine.io. Both are counted in `server.clientsCount`.
 *
 * Socket.IO's own `attachApp` is not used: it replaces methods of the global `Adapter.prototype`, sets no limit on what
 * is buffered for a slow reader, and needs a middleware for CORS.
 */
export class FeedEngine {
  readonly server: EngineServer;
  readonly #oversized: OversizedHandlers;
  readonly #handlers: FastHandlers;
  /** Transports whose client was cut because it did not read. */
  readonly #slow = new WeakSet<object>();
  /** engine.io's connections by the WebSocket transport that they are on or about to be on. */
  readonly #byTransport = new WeakMap<object, Connection>();
  /** Sockets to be closed before anything else is sent. */
  readonly #toCut = new Set<WebSocket<UserData>>();

  /** @param fast - for connections whose session began on a WebSocket; others are events of `server` */
  constructor(
    app: RoutedApp,
    options: EngineOptions,
    admission: Admission,
    fast: FastHandlers,
    oversized: OversizedHandlers,
  ) {
    this.#oversized = oversized;
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
    this.#handlers = fast;
    checkInternals(this.server);
    if (options.transports.includes('websocket')) {
      const count = (change: number): unknown => (this.server.clientsCount += change);
      this.server.fast = new FastServer(options, count, fast);
    }
    // Registered before Socket.IO's own listener, so that a flood is cut before it is worked on.
    this.server.on('connection', (connection: Connection) => {
      if (connection.transport instanceof PollingTransport) connection.transport.serve(connection);
      limitConnects(connection);
      connection.on('upgrading', (transport: object) => this.#byTransport.set(transport, connection));
      limitBacklog(connection, options.maxBackpressure, () => this.markSlow(connection));
    });
    this.server.on('connection_error', answerConnectionError);
    this.server.attach(this.#guarded(app, options, admission), { path: SOCKET_PATH, ...engineOptions });
  }

  /** Every Engine.IO session that is open, on whatever transport. */
  sessions(): Connection[] {
    return [...this.server.sessions(), ...((this.server.fast?.all() ?? []) as unknown as Connection[])];
  }

  /** Whether a connection was cut because more than the limit was waiting for it. */
  wasSlow(connection: Connection): boolean {
    return fastOf(connection)?.isSlow ?? this.#slow.has((connection as unknown as SocketHolder).transport);
  }

  /** Marks a connection as cut for being slow. */
  markSlow(connection: Connection): void {
    const fast = fastOf(connection);
    if (fast !== undefined) fast.isSlow = true;
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
      any: (_path: string, handler: Handler) => {
        for (const path of SOCKET_PATHS) {
          app.any(path, (res, req) => {
            if (!admission.admit(res, req) || this.#passesBy(res, req, options.maxPayload)) return undefined;
            return handler(res, req);
          });
        }
        return {
          ws: (_wsPath: string, behavior: SocketBehavior<UserData>) => {
            for (const path of SOCKET_PATHS) this.#addWebSocket(app, path, behavior, options, admission);
          },
        };
      },
    };
  }

  #addWebSocket(
    app: RoutedApp,
    path: string,
    behavior: SocketBehavior<UserData>,
    options: EngineOptions,
    admission: Admission,
  ): void {
    const { fast } = this.server;
    app.ws<UserData>(path, {
      ...behavior,
      compression: options.compression,
      idleTimeout: idleTimeout(options),
      maxPayloadLength: takenAtMost(options.maxPayload),
      // Engine.IO has heartbeats of its own.
      sendPingsAutomatically: false,
      maxBackpressure: options.maxBackpressure,
      // Without this, messages of a slow reader are dropped in silence and it stays connected.
      closeOnBackpressureLimit: true,
      upgrade: (res, req, context) => {
        // RFC 6455, 4.4.
        if (req.head.webSocket.version !== WEBSOCKET_VERSION) {
          res.refuse('upgrade_required', [['Sec-WebSocket-Version', WEBSOCKET_VERSION]]);
          return undefined;
        }
        if (!admission.admit(res, req)) return undefined;
        res.chooseExtensions = (offers) => chooseOffer(offers, options.compression);
        const connection = fast?.accept(req);
        if (connection === undefined) {
          return asksForPolling(req) ? answerRefusal(res, 'bad_request') : behavior.upgrade?.(res, req, context);
        }
        const { key, protocol, extensions } = req.head.webSocket;
        res.upgrade({ connection }, key, protocol, extensions, context);
        return undefined;
      },
      open: (ws) => {
        const data = ws.getUserData();
        if ('connection' in data) fast?.open(data.connection, ws);
        else void behavior.open?.(ws);
      },
      message: (ws, message, isBinary) => {
        const data = ws.getUserData();
        if (message.byteLength > options.maxPayload) this.#refuse(ws, message, isBinary);
        else if ('connection' in data) data.connection.take(message, isBinary);
        else void behavior.message?.(ws, message, isBinary);
      },
      ping: (ws, message) => this.#countPing(ws, message.byteLength),
      pong: (ws, message) => this.#countPing(ws, message.byteLength),
      close: (ws, code, message) => {
        const data = ws.getUserData();
        const connection = this.#connectionOf(data);
        if (connection !== undefined && code === ABNORMAL && Buffer.from(message).toString() === UWS_TOO_LARGE) {
          this.#oversized.onClosed(connection);
        }
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

  #connectionOf(data: UserData): Connection | undefined {
    if ('connection' in data) return data.connection as unknown as Connection;
    return this.#byTransport.get(data.transport);
  }

  /** Refuses a message that is too large; what does not wait for an answer is closed with one. */
  #refuse(ws: WebSocket<UserData>, message: ArrayBuffer, isBinary: boolean): void {
    const connection = this.#connectionOf(ws.getUserData());
    const head = isBinary ? '' : Buffer.from(message.slice(0, HEAD_BYTES)).toString();
    if (connection !== undefined && this.#oversized.refuse(connection, head, message.byteLength)) return;
    const fast = connection === undefined ? undefined : fastOf(connection);
    if (fast !== undefined) fast.closeWith(CLOSE_TOO_LARGE, TOO_LARGE);
    else ws.end(CLOSE_TOO_LARGE, TOO_LARGE);
  }

  /** Whether a request is a message over long-polling that is too large; it is answered then. */
  #passesBy(res: GuardedResponse, req: GuardedRequest, maxPayload: number): boolean {
    const bytes = oversizedBytes(req, maxPayload);
    if (bytes === 0) return false;
    const sid = new URLSearchParams(req.getQuery()).getAll('sid').at(-1) ?? '';
    const connection = this.server.session(sid);
    if (connection?.transport.name !== 'polling') return false;
    passBy(res, {
      refuse: (head) => {
        const isAnswered = this.#oversized.refuse(connection, head, bytes);
        if (!isAnswered) connection.close(true);
        return isAnswered;
      },
    });
    return true;
  }

  /** Counts a ping or pong of the WebSocket itself, of which nobody else learns; a client that floods is cut. */
  #countPing(ws: WebSocket<UserData>, bytes: number): void {
    const data = ws.getUserData();
    if ('connection' in data) {
      data.connection.takePing(bytes);
      return;
    }
    if (!this.#handlers.admitsPing(data.transport, () => this.#connectionOf(data), bytes)) ws.close();
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
