import type { EventEmitter } from 'node:events';
import { type AttachOptions, type BaseServer, type Socket as Connection, uServer } from 'engine.io';
import { type ExtendedError, Namespace, Socket } from 'socket.io';
import type { WebSocket } from 'uWebSockets.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';

// Every private or undocumented member of a dependency that the gateway uses: below as types, at the end as the table that
// `checkInternals` goes through at every start. Nothing else in src/ may use one, but for what runs in browsers and can be
// checked by no start: src/client/ uses the event `packet` of socket.io-client's manager, and `context` of its errors.
//
// Nothing is assigned onto an instance or a prototype of a dependency. Its classes are extended (engine.io's server and
// transport, Socket.IO's server, namespace and socket), or it is handed an object of ours in place of one of its own
// (`FastConnection`, `FastClient`, the connections of the Redis adapter, the app that engine.io attaches to).

// ---------------------------------------------------------------------------------------------------------- engine.io

/** An Engine.IO packet. */
export interface EnginePacket {
  readonly type: string;
  readonly data?: string | Buffer;
}

type SentCallback = (transport: unknown) => void;

/** engine.io's transport of a WebSocket on uWebSockets.js. */
export interface WebSocketTransport {
  readonly name: string;
  /** Set by the handler `open` that `uServer.attach` registers. */
  readonly socket?: WebSocket<unknown>;
}

/** engine.io's socket. */
export interface EngineSocketInside {
  readonly readyState: string;
  readonly transport: WebSocketTransport;
  /** Whether a WebSocket is tried out. */
  readonly upgrading: boolean;
  /** Whether it is on a WebSocket, and began on long-polling. */
  readonly upgraded: boolean;
  /** Waiting for a transport that is writable, oldest first. */
  readonly writeBuffer: EnginePacket[];
  /** Called when what is in `writeBuffer` has been sent. */
  readonly packetsFn: SentCallback[];
  /** The same, of what the transport has now: one entry for each flush. */
  readonly sentCallbackFn: (SentCallback[] | null)[];
  /** Ends the session of a client that does not answer a ping. */
  readonly pingTimeoutTimer: NodeJS.Timeout | null | undefined;
  sendPacket(type: 'ping'): void;
}

/** engine.io's socket with its private members. */
export function insideOf(connection: Connection): EngineSocketInside {
  return connection as unknown as EngineSocketInside;
}

/** Gives a client that is known to be slow its whole time again to answer a ping. */
export function excuse(connection: Connection): void {
  const { pingTimeoutTimer } = insideOf(connection);
  // One that has run out or was stopped must not begin again.
  if (pingTimeoutTimer?.hasRef() === true) pingTimeoutTimer.refresh();
}

/** The parser that a transport has for protocol v4, which is the only one that is let in. */
export interface PayloadParser {
  encodePayload(packets: readonly EnginePacket[], done: (payload: string) => void): void;
  decodePayload(payload: string): EnginePacket[];
}

/** The parser of a transport (its member `parser`, which is protected and typed for both versions of the protocol). */
export function payloadParser(parser: object): PayloadParser {
  return parser as PayloadParser;
}

/** What engine.io adds to a request, in `uServer.prepare` and after it. */
export interface PreparedRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly _query: Record<string, string>;
  res: GuardedResponse | null;
}

/** A request as engine.io hands it to transports, with what it is on uWebSockets.js. */
export function preparedOf(req: object): PreparedRequest {
  return req as PreparedRequest;
}

/** What is extended of engine.io's server where its types say that it is private. */
declare class EngineServerInside extends BaseServer {
  protected init(): void;
  protected cleanup(): void;
  /** Reads everything of a request that is used later, when uWebSockets.js has taken it back. */
  protected prepare(req: GuardedRequest, res: GuardedResponse): asserts req is GuardedRequest & PreparedRequest;
  protected createTransport(...args: Parameters<BaseServer['createTransport']>): unknown;
  attach(app: unknown, options: AttachOptions): void;
}

/** engine.io's server on uWebSockets.js, to be extended where it is private too. */
export const EngineServerBase = uServer as unknown as typeof EngineServerInside;

// ---------------------------------------------------------------------------------------------------------- socket.io

/** A Socket.IO packet, decoded. */
export interface Packet {
  readonly type: number;
  readonly nsp: string;
  readonly data?: unknown;
}

/** What a client sends along with CONNECT. */
export type Auth = Readonly<Record<string, unknown>>;

/** What a socket begins with, as the fourth argument of its constructor: its ids, and what it had before a reconnect. */
export interface Session {
  readonly sid: string;
  readonly pid: string;
  readonly rooms: readonly string[];
  readonly missedPackets: readonly unknown[];
  readonly data: object;
}

/** Acknowledgement callbacks by packet id: what a socket has as its member `acks`. */
export type Acks = Map<number, (...args: unknown[]) => void>;

/** Socket.IO's `handshake`. */
export interface Handshake {
  headers: object;
  auth: object;
}

/** How a message is written. */
export interface WriteOptions {
  /** Whether the packet is encoded already. */
  readonly preEncoded?: boolean;
  /** The message as it goes over the wire, where the caller has made it already. */
  readonly wsPreEncoded?: string;
}

/** Socket.IO's side of a connection: what namespaces, sockets and adapters use of it. */
export interface ClientInside {
  readonly id: string;
  readonly conn: { readonly readyState: string };
  readonly server: unknown;
  readonly request: unknown;
  _packet(packet: object, options?: WriteOptions): void;
  writeToEngine(encoded: string | Buffer | readonly (string | Buffer)[], options: WriteOptions): void;
  _disconnect(): void;
  _remove(socket: SocketInside): void;
}

/** Socket.IO's socket. */
export declare class SocketInside extends EventEmitter {
  readonly id: string;
  /** The secret that its client recovers with. */
  readonly pid: string;
  readonly nsp: NamespaceInside;
  readonly conn: object;
  // It takes any iterable, where its types say a set: each adapter goes through the rooms once.
  readonly adapter: { addAll(id: string, rooms: Iterable<string>): unknown };
  connected: boolean;
  recovered: boolean;
  handshake: Handshake;
  constructor(...args: [namespace: NamespaceInside, client: ClientInside, auth: Auth, session: Session]);
  buildHandshake(auth: Auth): Handshake;
  join(rooms: string | readonly string[]): unknown;
  disconnect(): unknown;
  dispatch(event: readonly [name: string, ...args: unknown[]]): void;
  run(event: readonly unknown[], done: (error?: unknown) => void): void;
  _cleanup(): void;
  _error(error: { message: string; data: unknown }): void;
  _onconnect(): void;
  _onerror(error: unknown): void;
  _onclose(reason: string, description?: unknown): unknown;
  _onpacket(packet: unknown): void;
}

/** Socket.IO's socket, to be extended where it is private too. */
export const SocketBase = Socket as unknown as typeof SocketInside;

/** A socket as Socket.IO types it. */
export function asSocket(socket: SocketInside): Socket {
  return socket as unknown as Socket;
}

/** The secret that a socket's client recovers with. */
export function pidOf(socket: Socket): string {
  return (socket as unknown as SocketInside).pid;
}

/** Socket.IO's namespace. */
export declare class NamespaceInside {
  readonly name: string;
  protected readonly _preConnectSockets: Map<string, SocketInside>;
  constructor(server: object, name: string);
  /** Runs the middlewares. */
  protected run(socket: SocketInside, done: (error?: ExtendedError) => void): void;
  protected _doConnect(socket: SocketInside, done?: (socket: SocketInside) => void): void;
  _add(client: ClientInside, auth: Auth, done: (socket: SocketInside) => void): Promise<void> | void;
}

/** Socket.IO's namespace, to be extended where it is private too. */
export const NamespaceBase = Namespace as unknown as typeof NamespaceInside;

/** What `FastClient` uses of Socket.IO's server. */
export interface ServerInside {
  readonly encoder: { encode(packet: object): (string | Buffer)[] };
  readonly _nsps: ReadonlyMap<string, unknown>;
  /** How long a client may be connected without a namespace; set by the option `connectTimeout`. */
  readonly _connectTimeout: number;
  _checkNamespace(name: string, auth: object, done: (namespace: unknown) => void): void;
  of(name: string): NamespaceInside;
}

/** Socket.IO's server with its private members. */
export function serverInside(server: object): ServerInside {
  return server as ServerInside;
}

// ---------------------------------------------------------------------------------------------------------- the table

/** What a member has to be, for the check at start. */
export type Kind = 'array' | 'boolean' | 'function' | 'map' | 'number' | 'object' | 'string';

/**
 * The members by package, by who has them, with what they are.
 *
 * To add one: a line here, its type above. If its owner is new, `samples` in `check-internals.ts` makes an instance to look
 * at, and the test's `BREAKS` says how to take a member from it.
 */
export const INTERNALS = {
  'engine.io': {
    uServer: { clients: 'object', prepare: 'function', verify: 'function', createTransport: 'function' },
    /** A request as transports and the event `connection_error` have it. */
    PreparedRequest: { method: 'string', headers: 'object', _query: 'object', res: 'object' },
    /** The handlers that `uServer.attach` registers for WebSockets; they are called by ours. */
    WebSocketRoute: { upgrade: 'function', open: 'function', message: 'function', close: 'function' },
    Socket: {
      transport: 'object',
      upgrading: 'boolean',
      upgraded: 'boolean',
      writeBuffer: 'array',
      packetsFn: 'array',
      sentCallbackFn: 'array',
      sendPacket: 'function',
      // Called by the check alone, to see the event below.
      _maybeUpgrade: 'function',
    },
    /** Events of `Socket` that its documentation does not name, with their argument. */
    SocketEvents: { upgrading: 'object' },
    /** What `PollingTransport` uses of its base class. */
    Transport: {
      parser: 'object',
      discarded: 'boolean',
      onClose: 'function',
      onError: 'function',
      onPacket: 'function',
    },
    /** The transport's `parser`. */
    Parser: { encodePayload: 'function', decodePayload: 'function' },
    /** The transport of a WebSocket that the handler `open` was called for. */
    WebSocketTransport: { socket: 'object' },
  },
  'socket.io': {
    Server: { encoder: 'object', _nsps: 'map', _connectTimeout: 'number', _checkNamespace: 'function' },
    Namespace: { run: 'function', _preConnectSockets: 'map', _add: 'function', _doConnect: 'function' },
    /** A socket that was made with a session. */
    Socket: {
      pid: 'string',
      adapter: 'object',
      acks: 'map',
      buildHandshake: 'function',
      dispatch: 'function',
      run: 'function',
      _cleanup: 'function',
      _error: 'function',
      _onconnect: 'function',
      _onerror: 'function',
      _onclose: 'function',
      _onpacket: 'function',
    },
    /** What sockets and adapters call on a client; `FastClient` has the same. */
    Client: {
      id: 'string',
      conn: 'object',
      server: 'object',
      request: 'object',
      writeToEngine: 'function',
      _packet: 'function',
      _disconnect: 'function',
      _remove: 'function',
    },
  },
  'socket.io-adapter': {
    /** The rooms of a client that `Adapter.addAll` was given as an array. */
    Rooms: { room: 'boolean' },
  },
  'uWebSockets.js': {
    // `listen(host, port, options, done)` has no types; `src/http/listener.ts` calls it.
    App: { listen: 'function' },
    // Its types know it as a member of an enum, which does not exist.
    Module: { LIBUS_LISTEN_EXCLUSIVE_PORT: 'number' },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Kind>>>>>>;

/** A package in {@link INTERNALS}. */
export type Package = keyof typeof INTERNALS;

/** Something for each owner in {@link INTERNALS}. */
export type ByOwner<T> = { readonly [P in Package]: { readonly [O in keyof (typeof INTERNALS)[P]]: T } };
