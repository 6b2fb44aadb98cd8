import type { WebSocket } from 'uWebSockets.js';
import { EVERYBODY, chosenRoom } from '../contract/rooms.js';
import type { Published, RoomPublisher } from '../delivery/fanout.js';
import type { RoutedApp } from '../http/guarded-app.js';
import { ENGINE_PACKET } from './engine/engine-packet.js';

const ROOMS_OF_EVERYBODY = [EVERYBODY, chosenRoom(EVERYBODY)];

const NOTHING: Published = { clients: 0, bytes: 0 };

/**
 * Delivers to the rooms of live clients through uWebSockets.js's own publish and subscribe, so that a publish costs JavaScript
 * nothing for each client.
 *
 * Clients that have chosen topics while connected are in rooms beside those of the others, since what they get is not the same:
 * its offset says so.
 */
export class Rooms implements RoomPublisher {
  readonly #app: RoutedApp;
  readonly #compress: boolean;

  /** @param compress - whether packets are compressed for the clients that can take it */
  constructor(app: RoutedApp, compress: boolean) {
    this.#app = app;
    this.#compress = compress;
  }

  /** Adds a client to rooms. */
  enter(native: WebSocket<unknown>, rooms: readonly string[]): void {
    for (const room of rooms) native.subscribe(room);
  }

  /** Takes a client out of rooms that it is in. One that is gone has left them with that. */
  leave(native: WebSocket<unknown>, rooms: readonly string[]): void {
    for (const room of rooms) native.unsubscribe(room);
  }

  publish(rooms: readonly string[], encode: (hasChosen: boolean) => string): Published {
    const others = this.#publishTo(rooms, encode, false);
    if (this.#app.numSubscribers(ROOMS_OF_EVERYBODY[1] ?? '') === 0) return others;
    const chosen = this.#publishTo(rooms, encode, true);
    return { clients: others.clients + chosen.clients, bytes: Math.max(others.bytes, chosen.bytes) };
  }

  /** Pings every live client, behind what was published before. */
  ping(): void {
    for (const room of ROOMS_OF_EVERYBODY) this.#app.publish(room, ENGINE_PACKET.ping);
  }

  #publishTo(rooms: readonly string[], encode: (hasChosen: boolean) => string, hasChosen: boolean): Published {
    let frame: Buffer | undefined;
    let clients = 0;
    for (const name of rooms) {
      const room = hasChosen ? chosenRoom(name) : name;
      // uWebSockets.js knows the number; counting costs nothing per client.
      const subscribers = this.#app.numSubscribers(room);
      if (subscribers === 0) continue;
      // Bytes once for all rooms; uWebSockets.js would convert a string in every call.
      frame ??= Buffer.from(ENGINE_PACKET.message + encode(hasChosen));
      this.#app.publish(room, frame, this.#compress);
      clients += subscribers;
    }
    return frame === undefined ? NOTHING : { clients, bytes: frame.length };
  }
}
