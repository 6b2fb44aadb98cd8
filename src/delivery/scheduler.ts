import type { Logger } from 'pino';
import type { Offset } from '../contract/offset.js';
import { encodeCheckpoint } from '../contract/packet.js';
import { ALL_SIGNALS } from '../contract/topics.js';
import { checkpointGroup, liveRooms, roomsOfClient } from '../contract/rooms.js';
import type { JournalEntry, RecentEntries } from '../journal/journal.js';
import type { FeedClient } from './feed-client.js';
import { HandOver } from './hand-over.js';
import type { DeliveryLimits } from './limits.js';
import type { LiveClients } from './live-clients.js';
import type { Loop } from './loop.js';
import { OlderPages } from './older-pages.js';
import { Pace } from './pace.js';
import { type Stretch, stretchOfPage, stretchOfRecent } from './walk-source.js';
import { type Walk, newWalk } from './walk.js';

/** The entries that clients walk through. */
export interface WalkedJournal {
  /** The newest entries, in memory. */
  readonly recent: RecentEntries;
  /** As in `Journal.older`. */
  older(after: Offset): Promise<readonly JournalEntry[] | undefined>;
  /** An entry as it is now: without its payload if it was deleted since it was read. */
  current(entry: JournalEntry): JournalEntry;
}

/** What the scheduler works with. */
export interface SchedulerOptions {
  readonly journal: WalkedJournal;
  /** The place that live clients are at. */
  readonly place: () => Offset;
  readonly live: Pick<LiveClients, 'add' | 'remove' | 'pinged' | 'answered'>;
  readonly limits: DeliveryLimits;
  readonly loop: Loop;
  /** A client that takes nothing for so long is closed. */
  readonly slowTimeoutMs: number;
  /** Called with entries that were sent to clients that had been away or behind, or that rooms do not reach. */
  readonly onServed: (entries: number, isReplay: boolean) => void;
  readonly log: Logger;
}

/** Time that clients are served in one turn of the loop, in ms; the live feed gets the next turn. */
const TURN_MS = 4;
/** Between two looks at clients that take nothing. */
const CHECK_EVERY_MS = 1000;

/** What a client walks through next: entries, or a page that has to be read first, or nothing. */
type Next = Stretch | 'head' | 'older';

/**
 * Serves all clients that are not live: one after the other, each as much as it takes, for a few ms in each turn of the loop.
 *
 * A client that has reached the place of the fan-out, and has room, becomes live in the same turn (docs/ordering.md). One that
 * rooms do not reach stays here, at the head, and gets each entry from here.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #pace: Pace;
  readonly #handOver: HandOver;
  readonly #pages: OlderPages;
  #queue: FeedClient[] = [];
  #next = 0;
  #isScheduled = false;
  /** Clients at the head that rooms do not reach. */
  readonly #following = new Set<FeedClient>();
  /** Clients that have no room. */
  readonly #full = new Set<FeedClient>();
  /** What everybody is to be told, and how often there was something. */
  #news = '';
  #newsCount = 0;
  #stopChecks: (() => void) | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    const { journal, limits, loop, place, log, onServed } = options;
    this.#pace = new Pace(limits);
    this.#handOver = new HandOver({ pace: this.#pace, current: (entry) => journal.current(entry), onServed });
    this.#pages = new OlderPages({
      older: (after) => journal.older(after),
      place,
      loop,
      goOn: (client, walk) => this.#goOn(client, walk),
      log,
    });
  }

  /** Clients at the head that rooms do not reach. */
  get followers(): number {
    return this.#following.size;
  }

  /**
   * Puts a client on its way.
   *
   * @param place - the last entry that it has
   * @param first - packets that come before all else
   */
  start(client: FeedClient, place: Offset, first: readonly string[] = []): void {
    client.walk = this.#newWalk(client, place, first);
    this.#enqueue(client);
  }

  /** Takes a client out of the live feed, at a place. MUST be called in a turn in which nothing was published yet. */
  takeOver(client: FeedClient, place: Offset): void {
    const { live } = this.#options;
    live.remove(client);
    client.leave(liveRooms(client.topics, client.id, client.hasChosen));
    const walk = this.#newWalk(client, place, []);
    client.walk = walk;
    walk.isFollowing = true;
    // What is under way to it is not known: it goes on once it has answered the ping behind all of that.
    walk.inFlightBytes = walk.windowBytes;
    if (client.pings > client.pongs) {
      walk.askedPing = client.pings;
      walk.askedBytes = walk.inFlightBytes;
    } else this.#pace.ask(client, walk);
    this.#await(client, walk);
  }

  /**
   * Greets a client, and makes it live if it is at the place of the fan-out; otherwise it is put on its way. A greeting that a
   * client has room for is sent at once, and so leaves with the answer to its CONNECT.
   */
  admit(client: FeedClient, place: Offset, first: readonly string[]): void {
    const bytes = first.reduce((sum, packet) => sum + packet.length, 0);
    if (bytes > this.#pace.firstWindow) {
      this.start(client, place, first);
      return;
    }
    client.send(first);
    const walk = this.#newWalk(client, place, []);
    client.walk = walk;
    this.#pace.sent(client, walk, bytes);
    if (isSamePlace(place, this.#options.place())) this.#arrive(client, walk);
    else this.#enqueue(client);
  }

  /** Notes that a client may have room: its transport is drained, or another one. */
  ready(client: FeedClient): void {
    const { walk } = client;
    if (walk === undefined || (walk.state !== 'full' && walk.state !== 'head')) return;
    walk.progressAtMs = this.#nowMs();
    this.#enqueue(client);
  }

  /** Notes that a client was sent a ping. */
  pinged(client: FeedClient): void {
    this.#options.live.pinged(client);
  }

  /** Notes that a client has answered a ping. */
  answered(client: FeedClient): void {
    const { walk, askedAtMs } = client;
    this.#options.live.answered(client);
    if (walk === undefined) return;
    this.#pace.answered(client, walk, { askedAtMs, nowMs: this.#nowMs() });
    if (walk.state === 'full' && walk.askedPing === 0) this.#enqueue(client);
  }

  /** Settles when a client has everything that was published up to now; unset: it has. */
  reached(client: FeedClient): Promise<void> | undefined {
    const { walk } = client;
    const place = this.#options.place();
    if (walk === undefined || (walk.first.length === 0 && isSamePlace(walk.place, place))) return undefined;
    return new Promise((resolve) => (walk.goal = { place, reached: resolve }));
  }

  /** Notes that the rooms of a client have changed. */
  turned(client: FeedClient): void {
    if (client.walk !== undefined) client.walk.rooms = new Set(roomsOfClient(client.topics, client.id));
  }

  /** Gives the clients at the head their turn: there is something new. */
  follow(): void {
    for (const client of this.#following) this.#enqueue(client);
  }

  /** Tells the clients at the head that entries are lost to everybody there. */
  skip(packet: string, resumed: Offset): void {
    for (const client of this.#following) {
      client.send([packet]);
      if (client.walk !== undefined) client.walk.place = resumed;
    }
  }

  /**
   * Sends every client that is not live a packet that does not depend on a place: those at the head now, the others once they have
   * room. Of several only the newest is sent then: it is news of the same thing.
   */
  tell(packet: string): void {
    this.#news = packet;
    this.#newsCount++;
    for (const client of this.#following) if (client.walk !== undefined) this.#tellNews(client, client.walk);
  }

  /** Tells those of the clients at the head that do not get every signal, and are in a group, where they are. */
  checkpoint(group: number): void {
    for (const client of this.#following) {
      const { walk } = client;
      if (walk === undefined || client.topics.has(ALL_SIGNALS) || checkpointGroup(client.id) !== group) continue;
      client.send([encodeCheckpoint(walk.place, client.hasChosen)]);
    }
  }

  /** Forgets a client that is gone. */
  end(client: FeedClient): void {
    this.#options.live.remove(client);
    this.#following.delete(client);
    this.#full.delete(client);
    this.#pages.forget(client);
    client.walk = undefined;
  }

  /** Ends the timer. May be called twice. */
  close(): void {
    this.#stopChecks?.();
    this.#stopChecks = undefined;
  }

  #nowMs(): number {
    return Math.round(this.#options.loop.nowMs());
  }

  #newWalk(client: FeedClient, place: Offset, first: readonly string[]): Walk {
    // The greeting says the newest, and who was live has heard it.
    const heard = this.#newsCount;
    return newWalk(client, { place, first, windowBytes: this.#pace.firstWindow, heard, nowMs: this.#nowMs() });
  }

  #enqueue(client: FeedClient): void {
    const { walk } = client;
    if (walk === undefined || walk.state === 'queued') return;
    walk.state = 'queued';
    this.#following.delete(client);
    this.#full.delete(client);
    this.#queue.push(client);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.loop.nextTurn(() => this.#run());
  }

  #run(): void {
    const { loop } = this.#options;
    this.#isScheduled = false;
    const endMs = loop.nowMs() + TURN_MS;
    // Those who come to the queue meanwhile have their turn after all others.
    for (let client = this.#queue[this.#next]; client !== undefined; client = this.#queue[this.#next]) {
      this.#next++;
      this.#serve(client);
      if (loop.nowMs() >= endMs) break;
    }
    if (this.#next === this.#queue.length) {
      this.#queue = [];
      this.#next = 0;
    } else if (this.#next > 1024) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    if (this.#queue.length === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    loop.nextTurn(() => this.#run());
  }

  /** Gives one client its turn. */
  #serve(client: FeedClient): void {
    const { walk } = client;
    if (walk?.state !== 'queued' || !client.isOpen()) return;
    const room = this.#pace.roomFor(client, walk);
    if (room <= 0) {
      this.#await(client, walk);
      return;
    }
    if (walk.first.length > 0) {
      if (this.#handOver.greet(client, walk, room) > 0) this.#again(client, walk);
      else this.#await(client, walk);
      return;
    }
    this.#tellNews(client, walk);
    const next = this.#stretch(client, walk);
    if (next === 'head') this.#arrive(client, walk);
    else if (next === 'older') this.#pages.read(client, walk);
    else if (this.#handOver.send(client, next, room)) this.#again(client, walk);
    else this.#await(client, walk);
  }

  #stretch(client: FeedClient, walk: Walk): Next {
    const limit = walk.goal?.place ?? this.#options.place();
    const page = this.#pages.take(client);
    if (page !== undefined) {
      const stretch = stretchOfPage(page, walk, limit);
      if (!isSamePlace(stretch.end, walk.place)) return stretch;
    }
    if (isSamePlace(walk.place, limit)) return 'head';
    return stretchOfRecent(this.#options.journal.recent, walk, limit);
  }

  /** Tells a client what it has not heard; otherwise "degraded" could be its last word of a gateway that is well again. */
  #tellNews(client: FeedClient, walk: Walk): void {
    if (walk.heard === this.#newsCount) return;
    walk.heard = this.#newsCount;
    client.send([this.#news]);
  }

  #again(client: FeedClient, walk: Walk): void {
    // At the head already: it is live before anything else is published.
    if (walk.first.length === 0 && isSamePlace(walk.place, this.#options.place())) this.#arrive(client, walk);
    else this.#goOn(client, walk);
  }

  #goOn(client: FeedClient, walk: Walk): void {
    walk.state = 'full';
    this.#enqueue(client);
  }

  /** The client has everything: it is live from now on, or waits at the head. In this turn (docs/ordering.md). */
  #arrive(client: FeedClient, walk: Walk): void {
    const { goal } = walk;
    // Whoever waits for this goes on before the client does, or before it could be live.
    walk.goal = undefined;
    goal?.reached();
    // Or the fan-out is behind what the client has, and moves on.
    if (goal !== undefined || !isSamePlace(walk.place, this.#options.place())) {
      walk.state = 'reading';
      this.#options.loop.nextTurn(() => {
        if (client.walk === walk) this.#goOn(client, walk);
      });
      return;
    }
    if (client.hearsRooms()) {
      client.walk = undefined;
      client.enter(liveRooms(client.topics, client.id, client.hasChosen));
      this.#options.live.add(client);
      return;
    }
    walk.state = 'head';
    walk.isFollowing = true;
    this.#following.add(client);
  }

  /** Waits until the client has taken something. */
  #await(client: FeedClient, walk: Walk): void {
    // A poll that waited took everything in the very call that sent it: no other drain would come.
    if (!client.hearsRooms() && this.#pace.isIdle(client, walk)) {
      this.#goOn(client, walk);
      return;
    }
    walk.state = 'full';
    walk.bufferedBytes = client.bufferedBytes();
    this.#full.add(client);
    if (client.hearsRooms()) this.#pace.ask(client, walk);
    this.#stopChecks ??= this.#options.loop.every(CHECK_EVERY_MS, () => this.#check());
  }

  /** Closes clients that take nothing, and keeps the heartbeat from closing others. */
  #check(): void {
    const nowMs = this.#nowMs();
    for (const client of this.#full) {
      const { walk } = client;
      if (walk === undefined) continue;
      const bufferedBytes = client.bufferedBytes();
      if (bufferedBytes < walk.bufferedBytes) walk.progressAtMs = nowMs;
      walk.bufferedBytes = bufferedBytes;
      if (nowMs - walk.progressAtMs < this.#options.slowTimeoutMs) client.excuse();
      else client.giveUp();
    }
    if (this.#full.size > 0) return;
    this.close();
  }
}

function isSamePlace(one: Offset, other: Offset): boolean {
  return one.seq === other.seq && one.epoch === other.epoch;
}
