import type { FeedClient } from './feed-client.js';
import type { DeliveryLimits } from './limits.js';
import type { Loop } from './loop.js';

/** What the live clients are set up with. */
export interface LiveClientsOptions {
  readonly limits: Pick<DeliveryLimits, 'softMark'>;
  readonly loop: Pick<Loop, 'nowMs'>;
  /** Publishes a ping to every live client. */
  readonly publishPing: () => void;
  /** Gives a client that is behind a cursor of its own, at the place of the fan-out. MUST take it out of its rooms at once. */
  readonly onBehind: (client: FeedClient) => void;
}

/** Bytes published between two pings of everybody: what a client can have under way unseen is about twice that. */
const PING_EVERY_BYTES = 64 * 1024;
/** Shortest time between two pings of everybody. */
const PING_EVERY_MS = 250;
/** A client that has not answered a ping for so long, while more was published, is behind. Longer than a round trip. */
const LATE_MS = 1000;

/**
 * The clients that what is published to rooms reaches: they are at the place of the fan-out.
 *
 * The loop must not be asked what waits for a client after each message. So they are looked at before more has been published
 * than a client has room for, and who is behind becomes a client that catches up. What waits in kernels and on the way is not
 * seen from here, and may be minutes of a slow link: pings that go along with what is published show how far a client has got.
 */
export class LiveClients {
  readonly #options: LiveClientsOptions;
  readonly #clients: FeedClient[] = [];
  #bytesSincePing = 0;
  #pingedAtMs = 0;

  constructor(options: LiveClientsOptions) {
    this.#options = options;
  }

  /** Clients that are live. */
  get count(): number {
    return this.#clients.length;
  }

  /** Notes a client that has joined its rooms. */
  add(client: FeedClient): void {
    if (client.slot >= 0) return;
    client.slot = this.#clients.length;
    this.#clients.push(client);
  }

  /** Forgets a client; it may be none of these. */
  remove(client: FeedClient): void {
    const { slot } = client;
    if (slot < 0) return;
    client.slot = -1;
    const last = this.#clients.pop();
    if (last === undefined || last === client) return;
    this.#clients[slot] = last;
    last.slot = slot;
  }

  /** Notes what was published to them. */
  published(bytes: number): void {
    this.#bytesSincePing += bytes;
  }

  /**
   * Turns those away that have too much waiting (docs/ordering.md). MUST be called in a turn in which nothing was published yet:
   * what uWebSockets.js has not written counts as nothing that waits.
   */
  sweep(): void {
    const { limits, onBehind } = this.#options;
    for (let i = this.#clients.length - 1; i >= 0; i--) {
      const client = this.#clients[i];
      if (client !== undefined && client.bufferedBytes() > limits.softMark) onBehind(client);
    }
  }

  /**
   * Pings everybody, if enough was published, and turns those away who have not answered the last time. MUST be called when
   * {@link sweep} may be.
   */
  ping(): void {
    const { loop, publishPing, onBehind } = this.#options;
    if (this.#bytesSincePing < PING_EVERY_BYTES || this.#clients.length === 0) return;
    const nowMs = Math.round(loop.nowMs());
    if (nowMs - this.#pingedAtMs < PING_EVERY_MS) return;
    this.#bytesSincePing = 0;
    this.#pingedAtMs = nowMs;
    for (let i = this.#clients.length - 1; i >= 0; i--) {
      const client = this.#clients[i];
      if (client === undefined) continue;
      if (client.pings > client.pongs && nowMs - client.askedAtMs > LATE_MS) onBehind(client);
      else client.notePing(nowMs);
    }
    publishPing();
  }
}
