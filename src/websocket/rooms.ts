import type { Socket as Connection } from 'engine.io';
import type { Adapter } from 'socket.io-adapter';
import type { RoutedApp } from '../http/guarded-app.js';
import { ENGINE_PACKET } from './engine/engine-packet.js';
import { nativeSocket, waitingCharacters } from './engine/native-socket.js';

/** What is used of the sockets of a Socket.IO namespace. */
interface Sockets {
  get(id: string): { readonly conn: unknown } | undefined;
}

/** Where packets are delivered, and how. */
export interface RoomsOptions {
  readonly app: RoutedApp;
  readonly adapter: Adapter;
  readonly sockets: Sockets;
  /** Which rooms to follow; a client's own room, for one, is never published to here. */
  readonly isFeedRoom: (room: string) => boolean;
  /** Whether packets are compressed for the clients that can take it. */
  readonly compress: boolean;
  /** Characters that may wait for a client on long-polling before it is cut. */
  readonly maxBuffered: number;
  /** Called just before such a client is cut. */
  readonly onSlow: (connection: Connection) => void;
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
  readonly #options: RoomsOptions;
  readonly #polling = new Map<string, PollingMember>();

  constructor(options: RoomsOptions) {
    const { adapter } = options;
    this.#options = options;
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
    const { app, compress } = this.#options;
    let frame: Buffer | undefined;
    let clients = 0;
    for (const room of rooms) {
      // uWebSockets.js knows the number; counting costs nothing per client.
      const subscribers = app.numSubscribers(room);
      if (subscribers === 0) continue;
      // Bytes once for all rooms; uWebSockets.js would convert a string in every call.
      frame ??= Buffer.from(ENGINE_PACKET.message + packet);
      app.publish(room, frame, compress);
      clients += subscribers;
    }
    for (const member of this.#polling.values()) {
      if (rooms.some((room) => member.rooms.has(room)) && this.#push(member, packet)) clients++;
    }
    return clients;
  }

  /** A client that upgrades changes lists in the turn of its upgrade (docs/ordering.md). */
  #join(room: string, id: string): void {
    if (!this.#options.isFeedRoom(room)) return;
    const connection = this.#options.sockets.get(id)?.conn as Connection | undefined;
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
    if (!this.#options.isFeedRoom(room)) return;
    const member = this.#polling.get(id);
    if (member !== undefined) {
      member.rooms.delete(room);
      if (member.rooms.size === 0) this.#polling.delete(id);
      return;
    }
    const connection = this.#options.sockets.get(id)?.conn as Connection | undefined;
    if (connection !== undefined) nativeSocket(connection)?.unsubscribe(room);
  }

  /** @returns whether there was room for it */
  #push(member: PollingMember, packet: string): boolean {
    // Counted before the write: a client that is waiting for data gets it, and drains, inside the call.
    member.buffered += packet.length;
    if (member.buffered <= this.#options.maxBuffered) {
      member.connection.write(packet);
      return true;
    }
    this.#options.onSlow(member.connection);
    member.connection.close(true);
    return false;
  }
}
