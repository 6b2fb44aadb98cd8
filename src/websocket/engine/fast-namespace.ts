import type { Socket } from 'socket.io';
import { FastConnection } from './fast-connection.js';
import { FastSocket } from './fast-socket.js';
import { type Auth, type ClientInside, NamespaceBase, type Session, type SocketInside, asSocket } from './internals.js';
import { sessionId } from './session-id.js';

/** What a namespace asks about its clients. */
export interface SocketHooks {
  /**
   * Looks up what a client had before it reconnected.
   *
   * @param pid - the secret it recovers with, and `offset` where it was; both are the client's word, and any strings
   * @returns the `data` of its socket; `undefined` if nothing can be recovered
   */
  recover(pid: string, offset: string): Promise<object | undefined>;
  /** Called with what a handler of a socket has thrown. */
  onFault(socket: Socket, error: unknown): void;
}

/** A server with hooks, which are not there yet while its base class makes its namespace. */
interface HookedServer {
  readonly hooks: SocketHooks;
}

/**
 * Socket.IO's namespace, with sockets that keep little: `handshake.headers`, `handshake.auth` and `request.headers` are there
 * for middlewares and for connection handlers until those return, and are empty afterwards. What is sent in the meantime
 * leaves in one write.
 *
 * A client that comes with `auth.pid` and `auth.offset` gets its session from the hooks, not from the adapter: the journal
 * keeps what it missed. The session has no rooms and no packets: rooms that are joined that early never become subscriptions
 * of uWebSockets.js, and the connection handler sends the missed entries, paced, until the client may join its rooms.
 */
export class FastNamespace extends NamespaceBase {
  readonly #server: HookedServer;

  constructor(server: HookedServer, name: string) {
    super(server, name);
    this.#server = server;
  }

  /** Reports what a handler of a socket has thrown. */
  onFault(socket: SocketInside, error: unknown): void {
    this.#server.hooks.onFault(asSocket(socket), error);
  }

  // As in socket.io, but for the class of the socket, and that a client with nothing to recover waits for nothing.
  override _add(client: ClientInside, auth: Auth, done: (socket: SocketInside) => void): Promise<void> | void {
    const { pid, offset } = auth;
    const start = (session?: Session): void =>
      this.#admit(new FastSocket(this, client, { auth, session }), client, done);
    if (typeof pid !== 'string' || typeof offset !== 'string') return start();
    const recovered = this.#server.hooks.recover(pid, offset).catch(() => undefined);
    // A new sid: the client takes any, and two connections never share one.
    return recovered.then((data) => start(data && { sid: sessionId(), pid, rooms: [], missedPackets: [], data }));
  }

  // As in socket.io, but in one write.
  protected override _doConnect(socket: FastSocket, done?: (socket: SocketInside) => void): void {
    const { conn } = socket;
    const native = conn instanceof FastConnection ? conn.native : undefined;
    const connect = (): void => {
      try {
        super._doConnect(socket, done);
      } catch (error) {
        // It must not pass through native code.
        this.onFault(socket, error);
      }
    };
    if (native === undefined) connect();
    else native.cork(connect);
    socket.forgetHandshake();
  }

  /** As in socket.io, from where the socket is there. */
  #admit(socket: FastSocket, { conn }: ClientInside, done: (socket: SocketInside) => void): void {
    this._preConnectSockets.set(socket.id, socket);
    this.run(socket, (error) => {
      process.nextTick(() => {
        try {
          if (conn.readyState !== 'open') {
            socket._cleanup();
          } else if (error) {
            socket._cleanup();
            socket._error({ message: error.message, data: error.data });
          } else {
            this._doConnect(socket, done);
          }
        } catch (fault) {
          this.onFault(socket, fault);
        }
      });
    });
  }
}
