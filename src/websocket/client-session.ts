import type { Logger } from 'pino';
import type { Expiry } from '../access/expiry.js';
import type { FloodKind } from '../access/flood-guard.js';
import type { EndReason } from '../connection-ends.js';
import { MAX_ECHO_LENGTH, type SubscribeAnswer, type SubscribeErrorCode } from '../contract/events.js';
import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeEvent, encodeGap } from '../contract/packet.js';
import { roomsOfClient } from '../contract/rooms.js';
import type { CatchUp, ReturningClient } from '../delivery/catch-up.js';
import type { Recovery } from '../delivery/recovery.js';
import { type Subscriber, Subscription, type SubscriptionServices } from '../delivery/subscription.js';
import type { GapReason } from '../journal/journal.js';
import type { ConnectMiddleware, ConnectRefusal } from './connect-middleware.js';
import type { EndCauses } from './end-causes.js';
import type { FeedEngine } from './engine/engine.js';
import { pidOf } from './engine/internals.js';
import { bufferedBytes, sendAll } from './engine/native-socket.js';
import type { FeedSocket } from './feed-socket.js';
import { roomOfUser } from './pod-calls.js';

/** What happens on connections, for counters. */
export interface ConnectionEvents {
  connected(): void;
  disconnected(reason: EndReason): void;
  /** A client was cut because it did not read. */
  slow(): void;
  refused(reason: ConnectRefusal): void;
  subscribed(result: 'ok' | SubscribeErrorCode): void;
  flooded(kind: FloodKind): void;
  recovery(result: 'recovered' | GapReason | 'retry'): void;
  replayed(entries: number): void;
}

/** What the sessions of all clients share. */
export interface SessionServices {
  readonly catchUp: CatchUp;
  readonly causes: EndCauses;
  readonly engine: Pick<FeedEngine, 'wasSlow'>;
  readonly events: ConnectionEvents;
  readonly expiry: Expiry<FeedSocket>;
  readonly feed: {
    /** The newest place that this pod's clients have been given. */
    head(): Offset;
    /** The newest status of every service, as encoded packets without offsets. */
    statuses(): Iterable<string>;
  };
  readonly middleware: Pick<ConnectMiddleware, 'leave'>;
  readonly recovery: Pick<Recovery, 'reasonFor'>;
  readonly subscriptions: SubscriptionServices;
  /** The first argument of `welcome`, as JSON. */
  readonly welcomeJson: string;
  /** Whether what is replayed is compressed. */
  readonly compress: boolean;
  readonly log: Logger;
}

const NO_TOPICS: ReadonlySet<string> = new Set();

/** One client, from when it is let in until it is gone: greets it, gives it what it missed, and answers its `subscribe`. */
export class ClientSession implements Subscriber, ReturningClient {
  readonly #socket: FeedSocket;
  readonly #services: SessionServices;
  #subscription: Subscription | undefined = undefined;
  #forgetExpiry: (() => void) | undefined = undefined;

  constructor(socket: FeedSocket, services: SessionServices) {
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

  /** Begins the session. Everything that is written here leaves in one write, in this order (docs/ordering.md). */
  start(): void {
    const { events, expiry, log } = this.#services;
    const socket = this.#socket;
    const { expiresAtMs, user } = socket.data;
    events.connected();
    log.info({ sid: this.id, transport: socket.conn.transport.name, recovered: socket.recovered }, 'client connected');
    if (user !== undefined) void socket.join(roomOfUser(user));
    if (expiresAtMs !== undefined) this.#forgetExpiry = expiry.add(socket, expiresAtMs);
    socket.on('disconnect', (reason) => this.#end(reason));
    const { resume } = socket.data;
    if (resume === undefined) {
      this.#listen(undefined);
      this.#begin();
    } else {
      this.#greet(formatOffset(resume));
      this.#listen(this.#services.catchUp.run(this, resume));
    }
  }

  isOpen(): boolean {
    const { conn, connected } = this.#socket;
    return connected && conn.readyState === 'open' && !this.#services.engine.wasSlow(conn);
  }

  bufferedBytes(): number {
    return bufferedBytes(this.#socket.conn);
  }

  sendAll(packets: readonly string[]): void {
    sendAll(this.#socket.conn, packets, this.#services.compress);
  }

  goLive(): void {
    void this.#socket.join(roomsOfClient(this.topics, this.id));
  }

  sendAway(): void {
    this.#socket.conn.close(true);
  }

  switchTo(topics: ReadonlySet<string>, packet: string): void {
    const socket = this.#socket;
    const before = new Set(roomsOfClient(this.topics, this.id));
    const after = roomsOfClient(topics, this.id);
    socket.data.topics = topics;
    // New rooms first: a client that left its last room would lose what is still batched for it.
    void socket.join(after.filter((room) => !before.delete(room)));
    for (const room of before) void socket.leave(room);
    socket.conn.write(packet);
  }

  /** Serves a client that has missed nothing, or whose session could not be recovered. */
  #begin(): void {
    const { feed, recovery } = this.#services;
    const { conn, handshake } = this.#socket;
    const head = formatOffset(feed.head());
    this.#greet(head);
    for (const packet of feed.statuses()) conn.write(packet);
    const { pid, offset } = handshake.auth as Record<string, unknown>;
    if (typeof pid === 'string' && typeof offset === 'string') {
      const requested = offset.slice(0, MAX_ECHO_LENGTH);
      conn.write(encodeGap({ reason: recovery.reasonFor(offset), requested, resumed: head }));
    }
    this.goLive();
  }

  /** Written as a packet around JSON that exists already: `socket.emit` would encode the message for every client. */
  #greet(offset: string): void {
    this.#socket.conn.write(encodeEvent('welcome', this.#services.welcomeJson, offset));
  }

  /** @param live - as in `SubscriptionStart` */
  #listen(live: Promise<void> | undefined): void {
    const { recovered: isRecovered, data } = this.#socket;
    const start = { generation: data.generation, isRecovered, live };
    const subscription = new Subscription(this, this.#services.subscriptions, start);
    this.#subscription = subscription;
    this.#socket.on('subscribe', (value: unknown, ack: unknown) => {
      // The client's word: the acknowledgement may come instead of the topics, or not at all.
      const reply = typeof value === 'function' ? value : ack;
      subscription.request(typeof value === 'function' ? undefined : value, (answer) => {
        if (typeof reply === 'function') (reply as (answer: SubscribeAnswer) => void)(answer);
      });
    });
  }

  /** @param told - the reason that Socket.IO gives */
  #end(told: EndReason): void {
    const { causes, engine, events, log, middleware } = this.#services;
    const { conn } = this.#socket;
    const isSlow = engine.wasSlow(conn);
    const reason = isSlow ? 'slow client' : causes.of(conn, told);
    if (isSlow) events.slow();
    middleware.leave(this.#socket);
    this.#forgetExpiry?.();
    this.#subscription?.end();
    events.disconnected(reason);
    log.info({ sid: this.id, reason }, 'client disconnected');
  }
}
