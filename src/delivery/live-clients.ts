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

/** KB published between two pings of everybody, and the shortest time between them while not very much is published. */
const PING_EVERY_KB = 64;
const PING_EVERY_MS = 250;
/**
 * A client is behind that has not answered a ping for so long while more was published, or for a shorter time while so much was
 * published, or at all while even more was. So what is under way to a client unseen is at most the last of these and what is
 * published in one turn, unless very many are late at once: less than a phone with 5 KB/s takes in a minute.
 */
const LATE_MS = 1000;
const EARLY_MS = 250;
const MUCH_KB = 96;
const TOO_MUCH_KB = 160;
/**
 * Time for turning clients away in one turn of the loop, because of pings: one with many topics has as many rooms to leave. If many
 * are late at once, as after a burst, some have answered before their turn comes.
 */
const TURN_MS = 8;

/**
 * The clients that what is published to rooms reaches: they are at the place of the fan-out.
 *
 * The loop must not be asked what waits for a client after each message. So they are swept before more has been published than
 * a client has room for, and a client that is behind then catches up at its own pace. What waits in kernels and on the way is not
 * seen from here, and may be minutes of a slow link: pings that go along with what is published show how far a client has read.
 */
export class LiveClients {
  readonly #options: LiveClientsOptions;
  readonly #clients: FeedClient[] = [];
  #publishedBytes = 0;
  #pingedAtKb = 0;
  #pingedAtMs = 0;
  /** Whether somebody was to be turned away when the time was up. */
  #isLateLeft = false;

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
    this.#publishedBytes += bytes;
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
    const { loop, publishPing } = this.#options;
    const nowKb = Math.round(this.#publishedBytes / 1024);
    const sinceKb = nowKb - this.#pingedAtKb;
    if ((sinceKb < PING_EVERY_KB && !this.#isLateLeft) || this.#clients.length === 0) return;
    const nowMs = Math.round(loop.nowMs());
    const isDue = sinceKb >= MUCH_KB || (sinceKb >= PING_EVERY_KB && nowMs - this.#pingedAtMs >= PING_EVERY_MS);
    if (isDue || this.#isLateLeft) this.#turnLateAway(nowMs, nowKb);
    if (!isDue) return;
    this.#pingedAtKb = nowKb;
    this.#pingedAtMs = nowMs;
    for (const client of this.#clients) this.#note(client, nowMs, nowKb);
    publishPing();
  }

  #turnLateAway(nowMs: number, nowKb: number): void {
    const { loop, onBehind } = this.#options;
    const endMs = loop.nowMs() + TURN_MS;
    this.#isLateLeft = false;
    for (let i = this.#clients.length - 1; i >= 0; i--) {
      const client = this.#clients[i];
      if (client === undefined || !isBehind(client, nowMs, nowKb)) continue;
      this.#isLateLeft = loop.nowMs() >= endMs;
      if (this.#isLateLeft) return;
      onBehind(client);
    }
  }

  /** To be called for every ping that was sent to one client, live or not. */
  pinged(client: FeedClient): void {
    this.#note(client, Math.round(this.#options.loop.nowMs()), Math.round(this.#publishedBytes / 1024));
  }

  /** To be called for every answer to a ping. */
  answered(client: FeedClient): void {
    const owed = client.pings - client.pongs;
    client.notePong(Math.round(this.#options.loop.nowMs()));
    // Pings of everybody are about equally far apart: the next one that it owes was sent so much later.
    if (owed > 1) client.askedAtKb += Math.round((this.#pingedAtKb - client.askedAtKb) / owed);
  }

  #note(client: FeedClient, nowMs: number, nowKb: number): void {
    if (!client.owesPong) client.askedAtKb = nowKb;
    client.notePing(nowMs);
  }
}

function isBehind(client: FeedClient, nowMs: number, nowKb: number): boolean {
  if (!client.owesPong) return false;
  const lateMs = nowMs - client.askedAtMs;
  const unseenKb = nowKb - client.askedAtKb;
  return lateMs > LATE_MS || unseenKb > TOO_MUCH_KB || (unseenKb > MUCH_KB && lateMs > EARLY_MS);
}
