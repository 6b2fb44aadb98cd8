import type { StatusUpdate } from '../contract/events.js';
import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeCheckpoint, encodeEntry, encodeEvent, encodeGap } from '../contract/packet.js';
import { EVERYBODY, roomOfCheckpoints, roomsOfEntry } from '../contract/rooms.js';
import type { GapReason, JournalEntry, StatusEntry } from '../journal/journal.js';
import type { DeliveryLimits } from './limits.js';
import type { LiveClients } from './live-clients.js';
import type { Loop } from './loop.js';
import { StatusBoard } from './status-board.js';

/** Where the fan-out puts what live clients are to get. */
export interface RoomPublisher {
  /**
   * Sends a packet to every client that has joined one of the rooms.
   *
   * MUST deliver in the order of the calls. A client is in at most one of the rooms given.
   *
   * @param encode - makes the packet, encoded, for clients that have chosen topics while connected or for the others; called
   *   only where there are some
   */
  publish(rooms: readonly string[], encode: (hasChosen: boolean) => string): Published;
}

/** What was published. */
export interface Published {
  /** Clients it was handed to. */
  readonly clients: number;
  /** Bytes that a client gets at most. */
  readonly bytes: number;
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

/** What the fan-out works with. */
export interface FanoutOptions {
  readonly rooms: RoomPublisher;
  readonly live: Pick<LiveClients, 'sweep' | 'ping' | 'published'>;
  readonly limits: Pick<DeliveryLimits, 'published'>;
  readonly loop: Pick<Loop, 'afterWrites'>;
  /** An entry as it is now: without its payload if it was deleted since it was read. */
  readonly current: (entry: JournalEntry) => JournalEntry;
  /** Called when the place has changed, for clients that are at it and that rooms do not reach. */
  readonly onMoved: () => void;
  /** Called instead where entries are lost to everybody who was at the place. */
  readonly onGap: (packet: string, resumed: Offset) => void;
  /** Called for every entry, for counters. */
  readonly onDelivered: (timing: FanoutTiming) => void;
}

/** Something that waits for its turn. */
type Waiting =
  | { readonly entry: JournalEntry; readonly cameInAtMs: number | undefined }
  | { readonly reason: GapReason; readonly requested: Offset; readonly resumed: Offset };

/** Name under which a gateway reports its own state in `status_update`. */
const OWN_SERVICE = 'gateway';

/**
 * Bytes handed to all live clients together in one turn of the loop: about 30 ms of writing. Enough for some dozens of usual
 * signals to thousands of clients, which uWebSockets.js writes to each client in one go.
 */
const TURN_BYTES = 32 * 1024 * 1024;

/** Bytes of entries that may wait here before more are read, and what must be left before reading goes on. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const FEW_WAITING_BYTES = 2 * 1024 * 1024;
/** Items that were published stay in the list until there are so many of them. */
const COMPACT_AFTER = 1024;

/**
 * Takes entries out of the journal and sends each, encoded once, to the rooms that want it, on this pod only: as many in a turn of
 * the loop as every live client has room for.
 */
export class Fanout {
  /** The newest status of each service, for clients that come late. */
  readonly statuses = new StatusBoard();
  readonly #options: FanoutOptions;
  #place: Offset = { epoch: '', seq: 0 };
  readonly #waiting: Waiting[] = [];
  #next = 0;
  #waitingBytes = 0;
  /** Published in this turn: what a client may have got, and what all have got. */
  #turnBytes = 0;
  #turnTotal = 0;
  #isTurnCounted = false;
  #bytesSinceSweep = 0;
  #room: { readonly promise: Promise<void>; readonly open: () => void } | undefined;

  constructor(options: FanoutOptions) {
    this.#options = options;
  }

  /** Begins at a place, before anything is delivered. */
  begin(place: Offset): void {
    this.#place = place;
  }

  /** The place that live clients are at: the last entry that was published. */
  get place(): Offset {
    return this.#place;
  }

  /** A promise to wait for before more is given, while much is waiting to be published. */
  room(): Promise<void> | undefined {
    if (this.#waitingBytes > MAX_WAITING_BYTES && this.#room === undefined) {
      const { promise, resolve } = resolvable();
      this.#room = { promise, open: resolve };
    }
    return this.#room?.promise;
  }

  /**
   * Delivers one entry, now or as soon as there is room. A status is on the board before it is published (docs/ordering.md).
   *
   * @param cameInAtMs - as in `JournalListener.onEntry`
   */
  deliver(entry: JournalEntry, cameInAtMs?: number): void {
    if (this.#next < this.#waiting.length || !this.#makeRoom(entry.json.length)) {
      this.#wait({ entry, cameInAtMs });
      return;
    }
    this.#publishEntry(entry, cameInAtMs);
    this.#options.onMoved();
  }

  /** Tells every client of this pod that entries are lost to it, after the entries before. */
  gap(reason: GapReason, requested: Offset, resumed: Offset): void {
    if (this.#next < this.#waiting.length) this.#wait({ reason, requested, resumed });
    else this.#publishGap(reason, requested, resumed);
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
  announce(status: StatusUpdate['status'], message: string): string {
    const update: StatusUpdate = { service: OWN_SERVICE, status, message };
    const json = JSON.stringify(update);
    this.#note(OWN_SERVICE, json);
    const packet = encodeEvent('status_update', json);
    this.#publish([EVERYBODY], () => packet);
    return packet;
  }

  /** What the gateway last reported about itself, as a packet; `undefined` if it never did. */
  get ownStatus(): string | undefined {
    return this.statuses.packetOf(OWN_SERVICE);
  }

  /** Tells a group of the clients that do not get every signal where the journal is. */
  checkpoint(group: number): void {
    this.#publish([roomOfCheckpoints(group)], (hasChosen) => encodeCheckpoint(this.#place, hasChosen));
  }

  #wait(item: Waiting): void {
    this.#waiting.push(item);
    if ('entry' in item) this.#waitingBytes += item.entry.json.length;
    this.#countTurn();
  }

  /** Publishes what waits, as much as there is room for. */
  #publishWaiting(): void {
    const place = this.#place;
    for (let item = this.#waiting[this.#next]; item !== undefined; item = this.#waiting[this.#next]) {
      if ('entry' in item) {
        if (!this.#makeRoom(item.entry.json.length)) break;
        this.#waitingBytes -= item.entry.json.length;
        this.#next++;
        this.#publishEntry(this.#options.current(item.entry), item.cameInAtMs);
      } else {
        this.#next++;
        this.#publishGap(item.reason, item.requested, item.resumed);
      }
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#next = 0;
    } else {
      this.#countTurn();
      if (this.#next >= COMPACT_AFTER) this.#next -= this.#waiting.splice(0, this.#next).length;
    }
    if (this.#place !== place) this.#options.onMoved();
    if (this.#waitingBytes > FEW_WAITING_BYTES) return;
    this.#room?.open();
    this.#room = undefined;
  }

  /**
   * Checks whether live clients have room for so many bytes, and sweeps them where that has to be known
   * (docs/ordering.md).
   *
   * @returns whether there is room in this turn; in a fresh turn there is, however large the message
   */
  #makeRoom(bytes: number): boolean {
    const { live, limits } = this.#options;
    if (this.#turnBytes > 0) {
      return this.#turnTotal < TURN_BYTES && this.#bytesSinceSweep + bytes <= limits.published;
    }
    if (this.#bytesSinceSweep + bytes > limits.published) {
      live.sweep();
      this.#bytesSinceSweep = 0;
    }
    live.ping();
    return true;
  }

  #publishEntry(entry: JournalEntry, cameInAtMs: number | undefined): void {
    const beginMs = performance.now();
    if (entry.service !== undefined && !entry.deleted) this.#note(entry.service, entry.json, entry);
    const clients = this.#publish(roomsOfEntry(entry), (hasChosen) => encodeEntry(entry, hasChosen));
    this.#place = { epoch: entry.epoch, seq: entry.seq };
    // Deleted before this pod came to it: its clients get a gap for the missing number.
    if (entry.deleted) return;
    const endMs = performance.now();
    const age = cameInAtMs === undefined ? undefined : (endMs - cameInAtMs) / 1000;
    this.#options.onDelivered({ clients, seconds: (endMs - beginMs) / 1000, age });
  }

  #publishGap(reason: GapReason, requested: Offset, resumed: Offset): void {
    const packet = encodeGap({ reason, requested: formatOffset(requested), resumed: formatOffset(resumed) });
    this.#publish([EVERYBODY], () => packet);
    this.#place = resumed;
    this.#options.onGap(packet, resumed);
  }

  #publish(rooms: readonly string[], encode: (hasChosen: boolean) => string): number {
    const { clients, bytes } = this.#options.rooms.publish(rooms, encode);
    if (bytes === 0) return clients;
    this.#turnBytes += bytes;
    this.#turnTotal += bytes * clients;
    this.#bytesSinceSweep += bytes;
    this.#options.live.published(bytes);
    this.#countTurn();
    return clients;
  }

  /** What is published counts until it is written. */
  #countTurn(): void {
    if (this.#isTurnCounted) return;
    this.#isTurnCounted = true;
    this.#options.loop.afterWrites(() => {
      this.#isTurnCounted = false;
      this.#turnBytes = 0;
      this.#turnTotal = 0;
      if (this.#next < this.#waiting.length) this.#publishWaiting();
    });
  }

  #note(service: string, json: string, place?: Offset): void {
    // The packet is without its offset: a client that comes late must not take the place of an old status for its own.
    this.statuses.set(service, encodeEvent('status_update', json), place && formatOffset(place));
  }
}

function resolvable(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  const settle: { resolve?: () => void } = {};
  const promise = new Promise<void>((resolve) => (settle.resolve = resolve));
  return { promise, resolve: () => settle.resolve?.() };
}
