import { EventEmitter } from 'node:events';
import { type ExtendedError, type Namespace, Socket } from 'socket.io';
import { encodeConnect } from '../../contract/packet.js';
import { sessionId } from './session-id.js';
import { FastConnection } from './fast-connection.js';

/** A session that the adapter gave back. */
interface Session {
  readonly sid: string;
  readonly pid: string;
  readonly rooms: readonly string[];
  readonly missedPackets: readonly unknown[];
  readonly data: object;
}

/** Acknowledgement callbacks by packet id. */
type Acks = Map<number, (...args: unknown[]) => void>;

/** Socket.IO's socket, with the private parts that are extended here. */
interface SocketInside {
  readonly id: string;
  readonly pid: string;
  readonly nsp: { readonly name: string };
  readonly conn: unknown;
  readonly adapter: { addAll(id: string, rooms: Iterable<string>): unknown };
  connected: boolean;
  handshake: Handshake;
  recovered: boolean;
  buildHandshake(auth: object): Handshake;
  removeAllListeners(event: string): this;
  join(rooms: string | readonly string[]): unknown;
  _cleanup(): void;
  _error(error: { message: string; data: unknown }): void;
  _onconnect(): void;
  _onerror(error: unknown): void;
  _onclose(reason: string, description?: unknown): unknown;
  _onpacket(packet: unknown): void;
  dispatch(event: readonly [name: string, ...args: unknown[]]): void;
  run(event: readonly unknown[], done: (error?: unknown) => void): void;
}

/** What is used of engine.io's side of a connection. */
interface EngineConnection {
  readonly request: { headers: object };
}

interface Handshake {
  headers: object;
  auth: object;
}

/** A namespace's private parts that create and connect its sockets. */
interface NamespaceInside {
  readonly adapter: { restoreSession(pid: string, offset: string): Promise<Session | null> };
  readonly _preConnectSockets: Map<string, SocketInside>;
  run(socket: SocketInside, done: (error?: ExtendedError) => void): void;
  _add(client: Client, auth: Auth, done: (socket: SocketInside) => void): Promise<void> | void;
  _doConnect(socket: SocketInside, done?: (socket: SocketInside) => void): void;
}

interface Client {
  readonly conn: { readonly readyState: string };
}

/** What a client sends along with CONNECT. */
type Auth = Readonly<Record<string, unknown>>;

const SocketBase = Socket as unknown as new (
  namespace: unknown,
  client: object,
  auth: object,
  session?: Session,
) => SocketInside;

function newSession(): Session {
  return { sid: sessionId(), pid: sessionId(), rooms: [], missedPackets: [], data: {} };
}

/** Shared by all sockets. */
const NOTHING = Object.freeze({});

let timeAt = 0;
let time = '';

/** The time as text; the same string for everybody who comes within a second, since it is kept for each. */
function timeText(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== timeAt) {
    timeAt = second;
    time = String(new Date(now));
  }
  return time;
}

/** Socket.IO's `handshake` of a client whose session began on a WebSocket. */
class LeanHandshake implements Handshake {
  headers: object;
  auth: object;
  readonly query: object;
  readonly url: string;
  readonly xdomain: boolean;
  readonly secure = false;
  readonly issued = Date.now();
  readonly time = timeText(this.issued);
  declare readonly address: string;
  readonly #connection: FastConnection;
  // To find out the address takes as long as a write. A property of its own, since adapters copy the handshake.
  static readonly #address: PropertyDescriptor & ThisType<LeanHandshake> = {
    get() {
      return this.#connection.remoteAddress;
    },
    enumerable: true,
  };

  constructor(connection: FastConnection, auth: object) {
    const { headers, url, _query } = connection.request;
    this.#connection = connection;
    this.headers = headers;
    this.xdomain = headers['origin'] !== undefined;
    this.url = url;
    this.query = _query;
    this.auth = auth;
    Object.defineProperty(this, 'address', LeanHandshake.#address);
  }
}

/**
 * Socket.IO's socket, without the parts that most clients never use until they do. What a handler or a callback of it
 * throws goes to {@link onFault}, and not to the process.
 */
abstract class FastSocket extends SocketBase {
  declare private lazyAcks: Acks | undefined;

  /** Told of what a handler of this socket has thrown. */
  protected abstract onFault(error: unknown): void;

  constructor(namespace: unknown, client: object, auth: object, session?: Session) {
    // Ids made here cost a fraction of those that the base class makes where it is given none.
    super(namespace, client, auth, session ?? newSession());
    this.recovered = session !== undefined;
  }

  // The constructor of the base class assigns an empty map, which is not kept.
  get acks(): Acks {
    return (this.lazyAcks ??= new Map());
  }

  set acks(_empty: Acks) {}

  override buildHandshake(auth: object): Handshake {
    const { conn } = this;
    return conn instanceof FastConnection ? new LeanHandshake(conn, auth) : super.buildHandshake(auth);
  }

  // Every adapter there is goes through the rooms once; the set that the base class makes for that would be thrown away.
  override join(rooms: string | readonly string[]): unknown {
    return this.adapter.addAll(this.id, typeof rooms === 'string' ? [rooms] : rooms);
  }

  // As in socket.io, but that CONNECT is written here and does not go through the encoder.
  override _onconnect(): void {
    const { id: sid, pid, conn, nsp } = this;
    if (!(conn instanceof FastConnection) || nsp.name !== '/') {
      super._onconnect();
      return;
    }
    this.connected = true;
    void this.join(sid);
    // Both are names of ours, in which nothing has to be escaped.
    conn.write(encodeConnect(sid, pid));
  }

  override _onpacket(packet: unknown): void {
    try {
      super._onpacket(packet);
    } catch (error) {
      this.onFault(error);
    }
  }

  override _onclose(reason: string, description?: unknown): unknown {
    try {
      return super._onclose(reason, description);
    } catch (error) {
      // A handler of "disconnecting" throws before the socket is let go of.
      if (this.connected) this.removeAllListeners('disconnecting')._onclose(reason, description);
      this.onFault(error);
      return this;
    }
  }

  // As in socket.io, but for the boundary around the handlers.
  override dispatch(event: readonly [name: string, ...args: unknown[]]): void {
    this.run(event, (refusal) => {
      process.nextTick(() => {
        if (refusal) {
          this._onerror(refusal);
          return;
        }
        if (!this.connected) return;
        try {
          EventEmitter.prototype.emit.apply(this as unknown as EventEmitter, [...event]);
        } catch (error) {
          this.onFault(error);
        }
      });
    });
  }

  /** Lets go of what only middlewares and connection handlers use. */
  forgetHandshake(): void {
    const { conn, handshake } = this;
    if (conn instanceof FastConnection) conn.forgetHeaders();
    // engine.io keeps the first request of a session for as long as the session lasts.
    else (conn as EngineConnection).request.headers = NOTHING;
    handshake.headers = NOTHING;
    handshake.auth = NOTHING;
  }
}

/**
 * Has a namespace make sockets that keep little: `handshake.headers`, `handshake.auth` and `request.headers` are there for
 * middlewares and for connection handlers until those return, and are empty afterwards. What is sent in the meantime leaves in one write.
 *
 * @param onFault - told of what a handler of a socket has thrown
 */
export function useFastSockets(namespace: Namespace, onFault: (socket: Socket, error: unknown) => void): void {
  class GuardedSocket extends FastSocket {
    protected override onFault(error: unknown): void {
      onFault(this as unknown as Socket, error);
    }
  }
  const inside = namespace as unknown as NamespaceInside;
  const doConnect = inside._doConnect.bind(namespace);
  // As in socket.io, from where the socket is there.
  const admit = (socket: FastSocket, { conn }: Client, done: (socket: SocketInside) => void): void => {
    inside._preConnectSockets.set(socket.id, socket);
    inside.run(socket, (error) => {
      process.nextTick(() => {
        try {
          if (conn.readyState !== 'open') {
            socket._cleanup();
          } else if (error) {
            socket._cleanup();
            socket._error({ message: error.message, data: error.data });
          } else {
            inside._doConnect(socket, done);
          }
        } catch (fault) {
          onFault(socket as unknown as Socket, fault);
        }
      });
    });
  };
  const own: Pick<NamespaceInside, '_add' | '_doConnect'> = {
    // As in socket.io, but for the class of the socket, and that a client with nothing to recover waits for nothing.
    _add(client, auth, done) {
      const { pid, offset } = auth;
      const start = (session?: Session): void =>
        admit(new GuardedSocket(namespace, client, auth, session), client, done);
      if (typeof pid !== 'string' || typeof offset !== 'string') return start();
      const restored = inside.adapter.restoreSession(pid, offset).catch(() => null);
      return restored.then((session) => start(session ?? undefined));
    },
    _doConnect(socket, done) {
      const { conn } = socket;
      const native = conn instanceof FastConnection ? conn.native : undefined;
      const connect = (): void => {
        try {
          doConnect(socket, done);
        } catch (error) {
          // It must not pass through native code.
          onFault(socket as unknown as Socket, error);
        }
      };
      if (native === undefined) connect();
      else native.cork(connect);
      (socket as FastSocket).forgetHandshake();
    },
  };
  Object.assign(namespace, own);
}
