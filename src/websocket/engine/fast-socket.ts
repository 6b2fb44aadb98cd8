import { EventEmitter } from 'node:events';
import { encodeConnect } from '../../contract/packet.js';
import { FastConnection } from './fast-connection.js';
import {
  type Acks,
  type Auth,
  type ClientInside,
  type Handshake,
  type NamespaceInside,
  type Session,
  SocketBase,
  type SocketInside,
} from './internals.js';
import { sessionId } from './session-id.js';

/** The namespace of a {@link FastSocket}. */
interface FaultObserver extends NamespaceInside {
  /** Called with what a handler of a socket has thrown. */
  onFault(socket: SocketInside, error: unknown): void;
}

/** What a socket begins with. */
interface SocketStart {
  readonly auth: Auth;
  /** Unset: the client is new. */
  readonly session?: Session | undefined;
}

/** engine.io's side of a connection, which keeps the first request of a session for as long as the session lasts. */
interface EngineConnection {
  readonly request: { headers: object };
}

function newSession(): Session {
  return { sid: sessionId(), pid: sessionId(), rooms: [], missedPackets: [], data: {} };
}

/** Shared by all sockets. */
const NOTHING = Object.freeze({});

let timeSecond = 0;
let time = '';

/** The time as text; the same string for all clients of a second, since each keeps it. */
function timeText(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== timeSecond) {
    timeSecond = second;
    time = String(new Date(nowMs));
  }
  return time;
}

/** Socket.IO's `handshake` of a client whose session began on a WebSocket. */
class FastHandshake implements Handshake {
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
  static readonly #address: PropertyDescriptor & ThisType<FastHandshake> = {
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
    Object.defineProperty(this, 'address', FastHandshake.#address);
  }
}

/**
 * Socket.IO's socket, without the parts that most clients never use until they do. What a handler or a callback of it
 * throws goes to its namespace, and not to the process.
 */
export class FastSocket extends SocketBase {
  declare readonly nsp: FaultObserver;
  declare private lazyAcks: Acks | undefined;

  constructor(namespace: FaultObserver, client: ClientInside, { auth, session }: SocketStart) {
    // Ids made here cost a fraction of those that the base class makes where it is given none.
    super(namespace, client, auth, session ?? newSession());
    this.recovered = session !== undefined;
  }

  // The constructor of the base class assigns an empty map, which is not kept.
  get acks(): Acks {
    return (this.lazyAcks ??= new Map());
  }

  set acks(_empty: Acks) {}

  // One of our own, which is emptied later.
  override buildHandshake(auth: Auth): Handshake {
    const { conn } = this;
    return conn instanceof FastConnection ? new FastHandshake(conn, auth) : { ...super.buildHandshake(auth) };
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
      this.nsp.onFault(this, error);
    }
  }

  override _onclose(reason: string, description?: unknown): unknown {
    try {
      return super._onclose(reason, description);
    } catch (error) {
      // A handler of "disconnecting" throws before the socket is released.
      if (this.connected) this.removeAllListeners('disconnecting')._onclose(reason, description);
      this.nsp.onFault(this, error);
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
          EventEmitter.prototype.emit.apply(this, [...event]);
        } catch (error) {
          this.nsp.onFault(this, error);
        }
      });
    });
  }

  /** Lets go of what only middlewares and connection handlers use. */
  forgetHandshake(): void {
    const { conn, handshake } = this;
    if (conn instanceof FastConnection) conn.forgetHeaders();
    else (conn as EngineConnection).request.headers = NOTHING;
    handshake.headers = NOTHING;
    handshake.auth = NOTHING;
  }
}
