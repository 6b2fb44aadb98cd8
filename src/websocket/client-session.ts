import type { Logger } from 'pino';
import type { Expiry } from '../access/expiry.js';
import type { FloodKind } from '../access/flood-guard.js';
import type { EndReason } from '../connection-ends.js';
import { MAX_ECHO_LENGTH, type SubscribeAnswer, type SubscribeErrorCode } from '../contract/events.js';
import { type Offset, formatOffset, formatPlace } from '../contract/offset.js';
import { encodeCheckpoint, encodeEvent, encodeGap } from '../contract/packet.js';
import { liveRooms } from '../contract/rooms.js';
import { FeedClient } from '../delivery/feed-client.js';
import type { Frame } from '../delivery/frames.js';
import type { Recovery } from '../delivery/recovery.js';
import type { Scheduler } from '../delivery/scheduler.js';
import { type Subscriber, Subscription, type SubscriptionServices } from '../delivery/subscription.js';
import type { GapReason } from '../journal/journal.js';
import type { ConnectMiddleware, ConnectRefusal } from './connect-middleware.js';
import type { EndCauses } from './end-causes.js';
import type { FeedEngine } from './engine/engine.js';
import { excuse, pidOf } from './engine/internals.js';
import {
  bufferedBytes,
  fastOf,
  nativeSocket,
  observePings,
  sendAll,
  sendFrames,
  sendPing,
} from './engine/native-socket.js';
import type { FeedSocket } from './feed-socket.js';
import { roomOfUser } from './pod-calls.js';
import type { Rooms } from './rooms.js';
import type { TopicCounts } from './topic-counts.js';

/** What happens on connections, for counters. */
export interface ConnectionEvents {
  connected(): void;
  disconnected(reason: EndReason): void;
  /** A client was closed because it did not read. */
  slow(): void;
  refused(reason: ConnectRefusal): void;
  subscribed(result: 'ok' | SubscribeErrorCode): void;
  flooded(kind: FloodKind): void;
  recovery(result: 'recovered' | GapReason | 'retry'): void;
}

/** What the sessions of all clients share. */
export interface SessionServices {
  readonly scheduler: Scheduler;
  readonly rooms: Rooms;
  readonly topicCounts: TopicCounts;
  readonly causes: EndCauses;
  readonly engine: Pick<FeedEngine, 'wasSlow'>;
  readonly events: ConnectionEvents;
  readonly expiry: Expiry<FeedSocket>;
  readonly feed: {
    /** The place that live clients are at. */
    place(): Offset;
    /** The newest status of every service, as encoded packets without offsets. */
    statuses(): Iterable<string>;
    /** What the gateway last reported about itself, as an encoded packet. */
    ownStatus(): string | undefined;
  };
  readonly middleware: Pick<ConnectMiddleware, 'leave'>;
  readonly recovery: Pick<Recovery, 'reasonFor'>;
  readonly subscriptions: SubscriptionServices;
  /** The first argument of `welcome`, as JSON. */
  readonly welcomeJson: string;
  /** Whether what is sent to one client is compressed. */
  readonly compress: boolean;
  /** Counts clients that are on long-polling. */
  readonly countPolling: (change: 1 | -1) => void;
  readonly log: Logger;
}

const NO_TOPICS: ReadonlySet<string> = new Set();

/** One client, from when it is let in until it is gone: greets it, puts it on its way, and answers its `subscribe`. */
export class ClientSession extends FeedClient implements Subscriber {
  readonly #socket: FeedSocket;
  readonly #services: SessionServices;
  #subscription: Subscription | undefined = undefined;
  #forgetExpiry: (() => void) | undefined = undefined;
  #isPolling = false;

  constructor(socket: FeedSocket, services: SessionServices) {
    super();
    this.#socket = socket;
    this.#services = services;
  }

  get id(): string {
    return this.#socket.id;
  }

  get pid(): string {
    return pidOf(this.#socket);
  }

  get allowed(): ReadonlySet<string> | undefined {
    return this.#socket.data.allowed;
  }

  get topics(): ReadonlySet<string> {
    return this.#socket.data.topics ?? NO_TOPICS;
  }

  get hasChosen(): boolean {
    return this.#socket.data.hasChosen === true;
  }

  /** Begins the session. What is written here at once leaves in one write, in this order (docs/ordering.md). */
  start(): void {
    const { events, expiry, feed, log, scheduler, topicCounts } = this.#services;
    const socket = this.#socket;
    const { expiresAtMs, resume, user } = socket.data;
    events.connected();
    topicCounts.add(this.topics);
    log.info({ sid: this.id, transport: socket.conn.transport.name, recovered: socket.recovered }, 'client connected');
    if (user !== undefined) void socket.join(roomOfUser(user));
    if (expiresAtMs !== undefined) this.#forgetExpiry = expiry.add(socket, expiresAtMs);
    socket.on('disconnect', (reason) => this.#end(reason));
    this.#watch();
    scheduler.admit(
      this,
      resume ?? feed.place(),
      resume === undefined ? this.#firstPackets() : this.#nextPackets(resume),
    );
    this.#listen();
  }

  isOpen(): boolean {
    const { conn, connected } = this.#socket;
    return connected && conn.readyState === 'open' && !this.#services.engine.wasSlow(conn);
  }

  hearsRooms(): boolean {
    return nativeSocket(this.#socket.conn) !== undefined;
  }

  bufferedBytes(): number {
    return bufferedBytes(this.#socket.conn);
  }

  send(packets: readonly string[]): void {
    sendAll(this.#socket.conn, packets, this.#services.compress);
  }

  sendFrames(frames: readonly Frame[]): void {
    sendFrames(this.#socket.conn, frames, this.#services.compress);
  }

  enter(rooms: readonly string[]): void {
    const native = nativeSocket(this.#socket.conn);
    if (native !== undefined) this.#services.rooms.enter(native, rooms);
  }

  leave(rooms: readonly string[]): void {
    const native = nativeSocket(this.#socket.conn);
    if (native !== undefined) this.#services.rooms.leave(native, rooms);
  }

  ping(): void {
    if (sendPing(this.#socket.conn)) this.onPing();
  }

  excuse(): void {
    const fast = fastOf(this.#socket.conn);
    if (fast === undefined) excuse(this.#socket.conn);
    else fast.excuse();
  }

  giveUp(): void {
    const { causes, events } = this.#services;
    const { conn } = this.#socket;
    causes.note(conn, 'slow client');
    events.slow();
    const fast = fastOf(conn);
    if (fast === undefined) conn.close(true);
    else fast.cut();
  }

  /** Called when the client's connection sends a ping of its own, and when an answer to one comes. */
  onPing(): void {
    this.#services.scheduler.pinged(this);
  }

  onPong(): void {
    this.#services.scheduler.answered(this);
  }

  reached(): Promise<void> | undefined {
    return this.#services.scheduler.reached(this);
  }

  /** All in one turn: what it was sent before is by the old topics, what follows is by the new ones (docs/ordering.md). */
  switchTo(topics: ReadonlySet<string>): void {
    const { feed, scheduler, topicCounts } = this.#services;
    const { data } = this.#socket;
    const before = this.slot < 0 ? undefined : new Set(liveRooms(this.topics, this.id, this.hasChosen));
    topicCounts.add(topics);
    topicCounts.remove(this.topics);
    data.topics = topics;
    data.hasChosen = true;
    if (before === undefined) scheduler.turned(this);
    else {
      const after = liveRooms(topics, this.id, true);
      // New rooms first: a client that left its last room would lose what is still batched for it.
      this.enter(after.filter((room) => !before.delete(room)));
      this.leave([...before]);
    }
    this.#socket.conn.write(encodeCheckpoint(this.walk?.place ?? feed.place(), true));
  }

  /** What comes before the feed for a client that is new, or whose session could not be recovered: its place is the last. */
  #firstPackets(): string[] {
    const { feed, recovery } = this.#services;
    const { pid, offset } = this.#socket.handshake.auth as Record<string, unknown>;
    const place = formatOffset(feed.place());
    const packets = [...feed.statuses()];
    if (typeof pid === 'string' && typeof offset === 'string') {
      const requested = offset.slice(0, MAX_ECHO_LENGTH);
      packets.push(encodeGap({ reason: recovery.reasonFor(offset), requested, resumed: place }));
    }
    packets.push(this.#welcome(place));
    return packets;
  }

  /** What a client gets that was recovered: the last it heard of the gateway itself may be from another pod. */
  #nextPackets(resume: Offset): string[] {
    const own = this.#services.feed.ownStatus();
    const welcome = this.#welcome(formatPlace(resume, this.hasChosen));
    return own === undefined ? [welcome] : [own, welcome];
  }

  /** Encoded around JSON that exists already: `socket.emit` would encode the message for every client. */
  #welcome(offset: string): string {
    return encodeEvent('welcome', this.#services.welcomeJson, offset);
  }

  /** Learns how far the client has read: from pings, and on long-polling from its transport. */
  #watch(): void {
    const { countPolling, scheduler } = this.#services;
    const { conn } = this.#socket;
    observePings(conn, this);
    if (fastOf(conn) !== undefined) return;
    conn.on('drain', () => {
      if (this.#isPolling) scheduler.ready(this);
    });
    if (conn.transport.name !== 'polling') return;
    this.#isPolling = true;
    countPolling(1);
    // What still waits in Engine.IO is sent right after this event, in the same turn, and so before what the scheduler sends.
    conn.once('upgrade', () => {
      this.#leavePolling();
      scheduler.ready(this);
    });
  }

  #leavePolling(): void {
    if (!this.#isPolling) return;
    this.#isPolling = false;
    this.#services.countPolling(-1);
  }

  #listen(): void {
    const { recovered: isRecovered, data } = this.#socket;
    const begin = (): Subscription =>
      new Subscription(this, this.#services.subscriptions, { generation: data.generation, isRecovered });
    // Most clients never choose. Topics that were taken over are kept alive from here.
    if (data.generation !== undefined) this.#subscription = begin();
    this.#socket.on('subscribe', (value: unknown, ack: unknown) => {
      // The client's word: the acknowledgement may come instead of the topics, or not at all.
      const reply = typeof value === 'function' ? value : ack;
      this.#subscription ??= begin();
      this.#subscription.request(typeof value === 'function' ? undefined : value, (answer) => {
        if (typeof reply === 'function') (reply as (answer: SubscribeAnswer) => void)(answer);
      });
    });
  }

  /** @param told - the reason that Socket.IO gives */
  #end(told: EndReason): void {
    const { causes, engine, events, log, middleware, scheduler, topicCounts } = this.#services;
    const { conn } = this.#socket;
    // uWebSockets.js has dropped a packet: something other than the feed sends more than the client takes.
    const isCut = engine.wasSlow(conn);
    const reason = isCut ? 'slow client' : causes.of(conn, told);
    if (isCut) events.slow();
    topicCounts.remove(this.topics);
    scheduler.end(this);
    this.#leavePolling();
    middleware.leave(this.#socket);
    this.#forgetExpiry?.();
    this.#subscription?.end();
    events.disconnected(reason);
    log.info({ sid: this.id, reason }, 'client disconnected');
  }
}
