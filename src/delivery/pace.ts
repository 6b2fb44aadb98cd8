import type { FeedClient } from './feed-client.js';
import type { DeliveryLimits } from './limits.js';
import type { Walk } from './walk.js';

/** Bytes that may be under way to a client of which nothing is known yet; a slow phone takes them in half a minute. */
const FIRST_WINDOW = 64 * 1024;
const MIN_WINDOW = 16 * 1024;
/** A window that is taken within this time may grow; one that takes longer than the other is too large. */
const FAST_MS = 500;
const SLOW_MS = 5000;

/** What is handed to clients that are not live: no more than they take. */
export class Pace {
  readonly #limits: DeliveryLimits;

  constructor(limits: DeliveryLimits) {
    this.#limits = limits;
  }

  /** The window that a client begins with. */
  get firstWindow(): number {
    return Math.min(FIRST_WINDOW, this.#limits.maxWindow);
  }

  /** Bytes that may be sent to a client now; 0 or less: none. */
  roomFor(client: FeedClient, walk: Walk): number {
    const bufferedBytes = client.bufferedBytes();
    // On long-polling the transport holds everything until the client fetches it: what waits there is what is under way.
    if (!client.hearsRooms()) return walk.windowBytes - bufferedBytes;
    return Math.min(walk.windowBytes - walk.inFlightBytes, this.#limits.softMark - bufferedBytes);
  }

  /** Whether nothing is under way to it: then it takes a packet that is larger than its window. */
  isIdle(client: FeedClient, walk: Walk): boolean {
    return client.bufferedBytes() === 0 && (walk.inFlightBytes === 0 || !client.hearsRooms());
  }

  /** Notes what was sent, and asks the client how far it has read. */
  sent(client: FeedClient, walk: Walk, bytes: number): void {
    if (!client.hearsRooms()) return;
    walk.inFlightBytes += bytes;
    if (walk.askedPing === 0 && walk.inFlightBytes >= walk.windowBytes / 2) this.ask(client, walk);
  }

  /** Asks a client how far it has read, unless its answer is waited for already. */
  ask(client: FeedClient, walk: Walk): void {
    if (walk.askedPing !== 0) return;
    client.ping();
    walk.askedPing = client.pings;
    walk.askedBytes = walk.inFlightBytes;
  }

  /**
   * Notes an answer to a ping; the client has noted it already.
   *
   * @param askedAtMs - when the ping was sent, about
   */
  answered(client: FeedClient, walk: Walk, { askedAtMs, nowMs }: { askedAtMs: number; nowMs: number }): void {
    walk.progressAtMs = nowMs;
    if (walk.askedPing === 0 || client.pongs < walk.askedPing) return;
    walk.inFlightBytes -= walk.askedBytes;
    walk.askedPing = 0;
    walk.askedBytes = 0;
    const tookMs = nowMs - askedAtMs;
    if (tookMs < FAST_MS) walk.windowBytes = Math.min(2 * walk.windowBytes, this.#limits.maxWindow);
    else if (tookMs > SLOW_MS)
      walk.windowBytes = Math.max(walk.windowBytes / 2, Math.min(MIN_WINDOW, this.firstWindow));
  }
}
