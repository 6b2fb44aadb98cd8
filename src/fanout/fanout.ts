import type { StatusUpdate } from '../contract/events.js';
import { formatOffset } from '../contract/offset.js';
import { EVERYBODY, roomOfTopic, topicsOfSignal } from '../contract/topics.js';
import type { JournalEntry } from '../journal/journal.js';
import { encodeEvent } from './packet.js';
import { StatusBoard } from './status-board.js';

/** Where the fan-out puts what clients are to get. */
export interface Audience {
  /**
   * Sends a packet to every client that has joined one of the rooms.
   *
   * MUST deliver in the order of the calls. A client is in at most one of the rooms given.
   *
   * @param packet - a Socket.IO packet, encoded
   */
  publish(rooms: readonly string[], packet: string): void;
}

/** Name under which a gateway speaks of itself in `status_update`. */
const OWN_SERVICE = 'gateway';

/** Takes entries out of the journal and sends each, encoded once, to the rooms that want it, on this pod only. */
export class Fanout {
  /** What clients that come late are told of the services. */
  readonly statuses = new StatusBoard();
  readonly #audience: Audience;

  constructor(audience: Audience) {
    this.#audience = audience;
  }

  /** Delivers one entry. */
  deliver(entry: JournalEntry): void {
    const packet = encodeEvent(entry.event, entry.json, formatOffset(entry.epoch, entry.seq));
    if (entry.event === 'status_update') {
      this.statuses.set(entry.service ?? '', packet);
      this.#audience.publish([EVERYBODY], packet);
    } else {
      this.#audience.publish(topicsOfSignal(entry.symbol ?? '', entry.timeframe ?? '').map(roomOfTopic), packet);
    }
  }

  /** Tells the clients of this pod about the gateway itself. Not a journal entry, so it carries no offset. */
  announce(status: StatusUpdate['status'], message: string): void {
    const update: StatusUpdate = { service: OWN_SERVICE, status, message };
    const packet = encodeEvent('status_update', JSON.stringify(update));
    this.statuses.set(OWN_SERVICE, packet);
    this.#audience.publish([EVERYBODY], packet);
  }
}
