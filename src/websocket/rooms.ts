import type { Socket as Connection } from 'engine.io';
import type { Adapter } from 'socket.io-adapter';
import type { RoutedApp } from '../http/guarded-app.js';
import { ENGINE_PACKET } from './engine/engine-packet.js';
import { nativeSocket } from './engine/engine.js';
import { waitingCharacters } from './engine/polling-transport.js';

/** The part of a Socket.IO namespace that is looked at. */
interface Sockets {
  get(id: string): { readonly conn: unknown } | undefined;
}

/** A client that is on long-polling now. */
interface PollingMember {
  readonly connection: Connection;
  readonly rooms: Set<string>;
  /** Characters handed to Engine.IO that it has not written yet, about. */
  buffered: number;
}

/**
 * Delivers to Socket.IO rooms through uWebSockets.js's own publish and subscribe.
 *
 * It follows the adapter's events: a WebSocket client that joins a feed room is subscribed in uWebSockets.js, so a
 * publish costs JavaScript nothing per client. Clients on long-polling are kept in a list of their own.
 */
export class Rooms {
  readonly #app: RoutedApp;
  readonly #sockets: Sockets;
  readonly #isFeedRoom: (room: string) => boolean;
  readonly #compress: boolean;
  readonly #maxBuffered: number;
  readonly #onSlow: (connection: Connection) => void;
  readonly #polling = new Map<string, PollingMember>();

  /**
   * @param isFeedRoom - which rooms to follow; a client's own room, for one, is never published to here
   * @param compress - whether packets are compressed for the clients that can take it
   * @param maxBuffered - characters that may wait for a polling client before it is cut
   * @param onSlow - told just before such a client is cut
   */
  constructor(
    app: RoutedApp,
    adapter: Adapter,
    sockets: Sockets,
    options: {
      isFeedRoom: (room: string) => boolean;
      compress: boolean;
      maxBuffered: number;
      onSlow: (connection: Connection) => void;
    },
  ) {
    this.#app = app;
    this.#sockets = sockets;
    this.#isFeedRoom = options.isFeedRoom;
    this.#compress = options.compress;
    this.#maxBuffered = options.maxBuffered;
    this.#onSlow = options.onSlow;
    adapter.on('join-room', (room: string, id: string) => this.#join(room, id));
    adapter.on('leave-room', (room: string, id: string) => this.#leave(room, id));
  }

  /** Clients on long-polling. */
  get pollingCount(): number {
    return this.#polling.size;
  }

  /**
   * Sends a packet to the members of the rooms, in the order of the calls.
   *
   * @returns clients it was handed to
   */
  publish(rooms: readonly string[], packet: string): number {
    let frame: Buffer | undefined;
    let clients = 0;
    for (const room of rooms) {
      // uWebSockets.js knows the number; counting costs nothing per client.
      const subscribers = this.#app.numSubscribers(room);
      if (subscribers === 0) continue;
      // Bytes once for all rooms; uWebSockets.js would convert a string in every call.
      frame ??= Buffer.from(ENGINE_PACKET.message + packet);
      this.#app.publish(room, frame, false, this.#compress);
      clients += subscribers;
    }
    for (const member of this.#polling.values()) {
      if (rooms.some((room) => member.rooms.has(room)) && this.#push(member, packet)) clients++;
    }
    return clients;
  }

  #join(room: string, id: string): void {
    if (!this.#isFeedRoom(room)) return;
    const connection = this.#sockets.get(id)?.conn as Connection | undefined;
    if (connection === undefined) return;
    const native = nativeSocket(connection);
    if (native !== undefined) {
      native.subscribe(room);
      return;
    }
    const member = this.#polling.get(id);
    if (member !== undefined) {
      member.rooms.add(room);
      return;
    }
    const added: PollingMember = { connection, rooms: new Set([room]), buffered: 0 };
    this.#polling.set(id, added);
    connection.on('drain', () => {
      added.buffered = waitingCharacters(connection);
    });
    // Engine.IO sends what is still buffered right after this event, in the same turn, so nothing overtakes it.
    connection.once('upgrade', () => {
      this.#polling.delete(id);
      for (const joined of added.rooms) nativeSocket(connection)?.subscribe(joined);
    });
  }

  #leave(room: string, id: string): void {
    if (!this.#isFeedRoom(room)) return;
    const member = this.#polling.get(id);
    if (member !== undefined) {
      member.rooms.delete(room);
      if (member.rooms.size === 0) this.#polling.delete(id);
      return;
    }
    const connection = this.#sockets.get(id)?.conn as Connection | undefined;
    if (connection !== undefined) nativeSocket(connection)?.unsubscribe(room);
  }

  /** @returns whether there was room for it */
  #push(member: PollingMember, packet: string): boolean {
    // Counted before the write: a client that is waiting for data gets it, and drains, inside the call.
    member.buffered += packet.length;
    if (member.buffered <= this.#maxBuffered) {
      member.connection.write(packet);
      return true;
    }
    this.#onSlow(member.connection);
    member.connection.close(true);
    return false;
  }
}
