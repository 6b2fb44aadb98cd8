import type { Server } from 'socket.io';
import type { FastConnection, Receiver } from './fast-connection.js';
import type { EngineEndReason } from '../../connection-ends.js';
import { PACKET_TYPE, PLAIN_CONNECT, hasAttachments } from '../../contract/packet.js';
import {
  type Auth,
  type ClientInside,
  type Packet,
  type ServerInside,
  type SocketInside,
  type WriteOptions,
  serverInside,
} from './internals.js';
import { parser } from './parser.js';

/** Socket.IO CONNECT packets taken on one connection; a client sends one for each namespace, and there is one. */
export const MAX_CONNECTS = 4;

type Decoder = InstanceType<typeof parser.Decoder>;

const { connect: CONNECT, connectError: CONNECT_ERROR } = PACKET_TYPE;
/** {@link PLAIN_CONNECT}, decoded. */
const DECODED_PLAIN_CONNECT: Packet = Object.freeze({ type: CONNECT, nsp: '/' });

/** What all clients of one server share. */
export class FastClients {
  readonly server: ServerInside;
  readonly onFault: (connection: FastConnection, error: unknown) => void;
  readonly #decoder: Decoder;
  #decoded: Packet | undefined;
  /** Clients that have joined no namespace yet, oldest first, with the time at which they are closed, in ms. */
  readonly #waiting = new Map<FastClient, number>();
  /** Those of them that have sent no CONNECT, or one that was refused, oldest first: since when. */
  readonly #silent = new Map<FastClient, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param onFault - called with what the work on a packet has thrown */
  constructor(server: Server, onFault: (connection: FastConnection, error: unknown) => void) {
    this.server = serverInside(server);
    this.onFault = onFault;
    this.#decoder = this.newDecoder((packet) => {
      this.#decoded = packet;
    });
  }

  /** Serves a connection that was just opened. */
  serve(connection: FastConnection): void {
    const client = new FastClient(this, connection);
    connection.receiver = client;
    const limitMs = this.server._connectTimeout;
    const nowMs = performance.now();
    this.#waiting.set(client, nowMs + limitMs);
    this.#silent.set(client, nowMs);
    // One timer for all of them, often enough to be about right.
    this.#timer ??= setInterval(() => this.#giveUp(), Math.min(limitMs / 4, 1000)).unref();
  }

  /** MUST be called when a client has joined a namespace or is gone. */
  arrived(client: FastClient): void {
    this.#waiting.delete(client);
    this.#silent.delete(client);
  }

  /** MUST be called when a client that has joined no namespace asks to. */
  asked(client: FastClient): void {
    this.#silent.delete(client);
  }

  /** MUST be called when a client was refused. */
  refused(client: FastClient): void {
    if (this.#waiting.has(client)) this.#silent.set(client, performance.now());
  }

  /**
   * The connection that has been silent longest, to be ended for somebody else.
   *
   * @param silentMs - how long it must have been at least
   */
  takeSilent(silentMs: number): FastConnection | undefined {
    const [oldest] = this.#silent;
    if (oldest === undefined || performance.now() - oldest[1] < silentMs) return undefined;
    this.#silent.delete(oldest[0]);
    return oldest[0].conn;
  }

  /**
   * Decodes a packet that is complete in itself.
   *
   * @throws if it is not a packet
   */
  decode(text: string): Packet | undefined {
    this.#decoder.add(text);
    const packet = this.#decoded;
    this.#decoded = undefined;
    return packet;
  }

  newDecoder(onPacket: (packet: Packet) => void): Decoder {
    const decoder = new parser.Decoder();
    decoder.on('decoded', onPacket);
    return decoder;
  }

  #giveUp(): void {
    const now = performance.now();
    for (const [client, deadline] of this.#waiting) {
      if (deadline > now) return;
      try {
        client.conn.close();
      } catch (error) {
        this.arrived(client);
        this.onFault(client.conn, error);
      }
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Socket.IO's side of a connection, in place of socket.io's own `Client`: the same behaviour to namespaces and sockets,
 * without a decoder, two maps and listeners for each client.
 */
class FastClient implements Receiver, ClientInside {
  readonly conn: FastConnection;
  readonly #shared: FastClients;
  /** The first socket; nearly every client has just this one. */
  #first: SocketInside | undefined = undefined;
  /** The others by their id: a client that asks twice before the first answer has two in one namespace, as in socket.io. */
  #others: Map<string, SocketInside> | undefined = undefined;
  /** While a packet with attachments is coming in. */
  #attachments: Decoder | undefined = undefined;
  #connects = 0;

  constructor(shared: FastClients, connection: FastConnection) {
    this.#shared = shared;
    this.conn = connection;
  }

  get id(): string {
    return this.conn.id;
  }

  get server(): ServerInside {
    return this.#shared.server;
  }

  get request(): unknown {
    return this.conn.request;
  }

  onMessage(data: string | Buffer): void {
    try {
      if (typeof data !== 'string' || this.#attachments !== undefined) {
        // Bytes that nothing announced are an error, which the decoder finds.
        this.#collect(data);
        return;
      }
      if (hasAttachments(data)) {
        this.#collect(data);
        return;
      }
      const packet = data === PLAIN_CONNECT ? DECODED_PLAIN_CONNECT : this.#shared.decode(data);
      if (packet !== undefined) this.#onPacket(packet);
    } catch (error) {
      this.#onError(error);
    }
  }

  onClose(reason: EngineEndReason, description?: Error): void {
    this.#shared.arrived(this);
    for (const socket of this.#sockets()) socket._onclose(reason, description);
    this.#first = undefined;
    this.#others = undefined;
    this.#attachments?.destroy();
    this.#attachments = undefined;
  }

  /** Called by sockets. */
  _packet(packet: object, options: WriteOptions = {}): void {
    if (this.conn.readyState !== 'open') return;
    if ((packet as Partial<Packet>).type === CONNECT_ERROR) this.#shared.refused(this);
    const encoded = options.preEncoded ? (packet as string[]) : this.server.encoder.encode(packet);
    this.writeToEngine(encoded, options);
  }

  /** Called by sockets and adapters. A volatile packet is never held back: the transport always takes it. */
  writeToEngine(encoded: string | Buffer | readonly (string | Buffer)[], options: WriteOptions): void {
    if (typeof encoded === 'string' || Buffer.isBuffer(encoded)) {
      this.conn.write(encoded, options);
      return;
    }
    for (const packet of encoded) this.conn.write(packet, options);
  }

  /** Called by a socket that closes its connection too. */
  _disconnect(): void {
    for (const socket of this.#sockets()) socket.disconnect();
    this.conn.close();
  }

  /** Called by a socket that has left its namespace. */
  _remove(socket: SocketInside): void {
    if (this.#first === socket) this.#first = undefined;
    else this.#others?.delete(socket.id);
  }

  #sockets(): SocketInside[] {
    return [...(this.#first === undefined ? [] : [this.#first]), ...(this.#others?.values() ?? [])];
  }

  #socketOf(namespace: string): SocketInside | undefined {
    if (this.#first?.nsp.name === namespace) return this.#first;
    for (const socket of this.#others?.values() ?? []) if (socket.nsp.name === namespace) return socket;
    return undefined;
  }

  #collect(data: string | Buffer): void {
    this.#attachments ??= this.#shared.newDecoder((packet) => {
      this.#attachments = undefined;
      this.#onPacket(packet);
    });
    this.#attachments.add(data);
  }

  #onPacket(packet: Packet): void {
    if (packet.type === CONNECT && ++this.#connects > MAX_CONNECTS) {
      this.conn.close();
      return;
    }
    const socket = this.#socketOf(packet.nsp);
    if (socket === undefined && packet.type === CONNECT) {
      this.#connect(packet.nsp, (packet.data as Auth | undefined) ?? {});
    } else if (socket !== undefined && packet.type !== CONNECT && packet.type !== CONNECT_ERROR) {
      process.nextTick(() => {
        try {
          socket._onpacket(packet);
        } catch (error) {
          this.#shared.onFault(this.conn, error);
        }
      });
    } else {
      this.conn.close();
    }
  }

  #connect(name: string, auth: Auth): void {
    this.#shared.asked(this);
    const { server } = this;
    if (server._nsps.has(name)) {
      this.#join(name, auth);
      return;
    }
    server._checkNamespace(name, auth, (namespace) => {
      if (namespace) this.#join(name, auth);
      else this._packet({ type: CONNECT_ERROR, nsp: name, data: { message: 'Invalid namespace' } });
    });
  }

  #join(name: string, auth: Auth): void {
    // Its errors are a middleware's own; Socket.IO does not handle them either.
    void this.server.of(name)._add(this, auth, (socket) => {
      if (this.#first === undefined) this.#first = socket;
      else (this.#others ??= new Map()).set(socket.id, socket);
      this.#shared.arrived(this);
    });
  }

  #onError(error: unknown): void {
    for (const socket of this.#sockets()) socket._onerror(error);
    this.conn.close();
  }
}
