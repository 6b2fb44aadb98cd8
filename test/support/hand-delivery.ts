import { pino } from 'pino';
import type { Offset } from '../../src/contract/offset.js';
import { EVERYBODY, chosenRoom } from '../../src/contract/rooms.js';
import { FeedDelivery } from '../../src/delivery/delivery.js';
import { FeedClient } from '../../src/delivery/feed-client.js';
import type { Frame } from '../../src/delivery/frames.js';
import type { Published } from '../../src/delivery/fanout.js';
import type { JournalEntry } from '../../src/journal/journal.js';
import { Ring } from '../../src/journal/ring.js';
import { HandLoop } from './hand-loop.js';

const PING = 'ping';

/** How a {@link HandClient} is. */
export interface HandClientOptions {
  readonly topics?: readonly string[];
  readonly transport?: 'websocket' | 'polling';
  /** Bytes that the network takes at once, whether the client reads or not. @default 0 */
  readonly networkBytes?: number;
}

/** A client that reads when a test says so. As with uWebSockets.js, what is published is written when a turn begins. */
export class HandClient extends FeedClient {
  readonly id: string;
  readonly topics: ReadonlySet<string>;
  readonly hasChosen = false;
  readonly rooms = new Set<string>();
  /** What it has read, without pings. */
  readonly received: string[] = [];
  /** The most that ever waited for it in the process. */
  mostBytes = 0;
  isGivenUp = false;
  readonly #delivery: HandDelivery;
  readonly #transport: 'websocket' | 'polling';
  readonly #networkBytes: number;
  #published: string[] = [];
  #waiting: string[] = [];
  #inNetwork: string[] = [];
  #isPolled = false;

  constructor(delivery: HandDelivery, id: string, options: HandClientOptions = {}) {
    super();
    this.#delivery = delivery;
    this.id = id;
    this.topics = new Set(options.topics ?? ['*']);
    this.#transport = options.transport ?? 'websocket';
    this.#networkBytes = options.networkBytes ?? 0;
  }

  /** `seq` of all entries that it has read. */
  get seqs(): number[] {
    return this.received.flatMap((packet) => {
      const seq = /^2\["new_signal",.*"\w+:(\d+)~?"\]$/.exec(packet)?.[1];
      return seq === undefined ? [] : [Number(seq)];
    });
  }

  /** Whether it is live. */
  get isLive(): boolean {
    return this.slot >= 0;
  }

  isOpen(): boolean {
    return !this.isGivenUp;
  }

  hearsRooms(): boolean {
    return this.#transport === 'websocket';
  }

  bufferedBytes(): number {
    return bytesOf(this.#waiting);
  }

  send(packets: readonly string[]): void {
    this.write();
    this.#put(packets);
    if (this.#isPolled) this.poll();
  }

  sendFrames(frames: readonly Frame[]): void {
    this.send(frames.map(({ text }) => text));
  }

  enter(rooms: readonly string[]): void {
    for (const room of rooms) this.rooms.add(room);
  }

  leave(rooms: readonly string[]): void {
    for (const room of rooms) this.rooms.delete(room);
  }

  ping(): void {
    if (!this.hearsRooms()) return;
    this.send([PING]);
    this.notePing(this.#delivery.loop.nowMs());
  }

  excuse(): void {}

  giveUp(): void {
    this.isGivenUp = true;
    this.#delivery.scheduler.end(this);
  }

  /** Takes a packet that is published to one of its rooms. */
  publish(packet: string): void {
    this.#published.push(packet);
  }

  /** Writes what was published. */
  write(): void {
    const packets = this.#published;
    this.#published = [];
    this.#put(packets);
  }

  /** Reads all there is, and answers pings. */
  read(): void {
    const packets = [...this.#inNetwork, ...this.#waiting];
    this.#inNetwork = [];
    this.#waiting = [];
    for (const packet of packets) {
      if (packet !== PING) this.received.push(packet);
      else this.#delivery.scheduler.answered(this);
    }
  }

  /** Polls once: takes what waits, or the next that is sent. */
  poll(): void {
    this.#isPolled = this.#waiting.length === 0;
    if (this.#isPolled) return;
    this.read();
    // As a transport that is drained says so, within the call that sends.
    this.#delivery.scheduler.ready(this);
  }

  #put(packets: readonly string[]): void {
    for (const packet of packets) {
      const isTaken = this.#waiting.length === 0 && bytesOf(this.#inNetwork) + packet.length <= this.#networkBytes;
      (isTaken ? this.#inNetwork : this.#waiting).push(packet);
    }
    this.mostBytes = Math.max(this.mostBytes, this.bufferedBytes());
  }
}

/** The delivery of a pod whose loop is turned by hand, with a journal in memory and clients that are told when to read. */
export class HandDelivery extends FeedDelivery {
  readonly loop: HandLoop;
  readonly clients: HandClient[] = [];
  readonly ring = new Ring({ epoch: 'e', seq: 0 }, 100_000);

  constructor({ maxBackpressureBytes = 1024 * 1024, slowTimeoutMs = 60_000 } = {}) {
    const loop = new HandLoop(() => this.#write());
    super({
      maxBackpressureBytes,
      slowTimeoutMs,
      loop,
      onDelivered: () => {},
      onServed: () => {},
      log: pino({ level: 'silent' }),
    });
    this.loop = loop;
    this.connect({
      journal: { recent: this.ring, older: async () => undefined, current: (entry) => entry },
      rooms: {
        publish: (rooms, encode) => this.#publish(rooms, encode),
        ping: () => void this.#publish([EVERYBODY], () => PING),
      },
    });
    this.fanout.begin(this.ring.head);
  }

  /** A client that is let in. @param place - the last entry that it has */
  join(options?: HandClientOptions, place: Offset = this.fanout.place, first: readonly string[] = []): HandClient {
    const client = new HandClient(this, `client-${this.clients.length}`, options);
    this.clients.push(client);
    this.scheduler.admit(client, place, first);
    return client;
  }

  /** Puts an entry into the journal, and gives it to the fan-out. */
  append(bytes: number, symbol = 'A'): void {
    const seq = this.ring.head.seq + 1;
    const json = JSON.stringify('x'.repeat(bytes));
    const entry: JournalEntry = {
      epoch: 'e',
      seq,
      id: String(seq),
      json,
      event: 'new_signal',
      symbol,
      timeframe: '1m',
    };
    this.ring.push(entry);
    this.fanout.deliver(entry);
  }

  #publish(rooms: readonly string[], encode: (hasChosen: boolean) => string): Published {
    const packet = encode(false);
    const names = [...rooms, ...rooms.map(chosenRoom)];
    const clients = this.clients.filter(({ rooms: joined }) => names.some((name) => joined.has(name)));
    for (const client of clients) client.publish(packet);
    return clients.length === 0 ? { clients: 0, bytes: 0 } : { clients: clients.length, bytes: packet.length };
  }

  #write(): void {
    for (const client of this.clients) client.write();
  }
}

function bytesOf(packets: readonly string[]): number {
  return packets.reduce((sum, packet) => sum + packet.length, 0);
}
