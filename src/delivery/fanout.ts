import type { StatusUpdate } from '../contract/events.js';
import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeCheckpoint, encodeEntry, encodeEvent, encodeGap } from '../contract/packet.js';
import { EVERYBODY, roomOfCheckpoints, roomsOfEntry } from '../contract/rooms.js';
import type { GapReason, JournalEntry, StatusEntry } from '../journal/journal.js';
import { StatusBoard } from './status-board.js';

/** Where the fan-out puts what clients are to get. */
export interface RoomPublisher {
  /**
   * Sends a packet to every client that has joined one of the rooms.
   *
   * MUST deliver in the order of the calls. A client is in at most one of the rooms given.
   *
   * @param packet - a Socket.IO packet, encoded
   * @returns clients it was handed to
   */
  publish(rooms: readonly string[], packet: string): number;
}

/** What is known of one entry's fan-out. */
export interface FanoutTiming {
  /** Clients that it was handed to. */
  readonly clients: number;
  /** How long that took, in seconds. */
  readonly seconds: number;
  /** Seconds since the message came into this pod; `undefined` where it came in elsewhere, since pods share no clock. */
  readonly age: number | undefined;
}

/** Name under which a gateway reports its own state in `status_update`. */
const OWN_SERVICE = 'gateway';

/** Takes entries out of the journal and sends each, encoded once, to the rooms that want it, on this pod only. */
export class Fanout {
  /** The newest status of each service, for clients that come late. */
  readonly statuses = new StatusBoard();
  readonly #rooms: RoomPublisher;
  readonly #onDelivered: (timing: FanoutTiming) => void;

  /** @param onDelivered - called for every entry, for counters */
  constructor(rooms: RoomPublisher, onDelivered: (timing: FanoutTiming) => void) {
    this.#rooms = rooms;
    this.#onDelivered = onDelivered;
  }

  /**
   * Delivers one entry. A status is on the board before it is published (docs/ordering.md).
   *
   * @param since - as in `JournalListener.onEntry`
   */
  deliver(entry: JournalEntry, since?: number): void {
    if (entry.deleted) {
      // Deleted before this pod came to it: its clients get a gap for the missing number.
      this.#rooms.publish(roomsOfEntry(entry), encodeEntry(entry));
      return;
    }
    const begin = performance.now();
    if (entry.service !== undefined) this.#note(entry.service, entry.json, entry);
    const clients = this.#rooms.publish(roomsOfEntry(entry), encodeEntry(entry));
    const end = performance.now();
    const age = since === undefined ? undefined : (end - since) / 1000;
    this.#onDelivered({ clients, seconds: (end - begin) / 1000, age });
  }

  /** Notes what the services said last, without telling those who are connected. */
  remember(statuses: readonly StatusEntry[]): void {
    for (const status of statuses) this.#note(status.service, status.json, status);
  }

  /** Forgets what a deleted entry said. */
  forget(deleted: JournalEntry): void {
    if (deleted.service !== undefined) this.statuses.forget(deleted.service, formatOffset(deleted));
  }

  /** Tells the clients of this pod about the gateway itself. Not a journal entry, so it carries no offset. */
  announce(status: StatusUpdate['status'], message: string): void {
    const update: StatusUpdate = { service: OWN_SERVICE, status, message };
    const json = JSON.stringify(update);
    this.#note(OWN_SERVICE, json);
    this.#rooms.publish([EVERYBODY], encodeEvent('status_update', json));
  }

  /** Tells every client of this pod that entries are lost to it. */
  gap(reason: GapReason, requested: Offset, resumed: Offset): void {
    const packet = encodeGap({ reason, requested: formatOffset(requested), resumed: formatOffset(resumed) });
    this.#rooms.publish([EVERYBODY], packet);
  }

  /** Tells a group of the clients that do not get every signal where the journal is. */
  checkpoint(head: Offset, group: number): void {
    this.#rooms.publish([roomOfCheckpoints(group)], encodeCheckpoint(head));
  }

  #note(service: string, json: string, place?: Offset): void {
    // The packet is without its offset: a client that comes late must not take the place of an old status for its own.
    this.statuses.set(service, encodeEvent('status_update', json), place && formatOffset(place));
  }
}
