import type { Logger } from 'pino';
import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeGap } from '../contract/packet.js';
import { roomsOfClient } from '../contract/rooms.js';
import type { JournalEntry } from '../journal/journal.js';
import { type ReplaySource, replay } from './replay.js';
import { type ReplayedClient, replayTarget } from './replay-target.js';

/** A client that has missed something, as a door shows it. */
export interface ReturningClient extends ReplayedClient {
  /** Names its session. */
  readonly id: string;
  /** The topics that are active. */
  readonly topics: ReadonlySet<string>;
  /** Gives the client what is published from now on. MUST do so at once, in the same turn of the loop. */
  goLive(): void;
  /** Closes the connection so that the client reconnects. */
  sendAway(): void;
}

/** Where the entries are that clients have missed. */
export interface MissedEntries extends ReplaySource<JournalEntry> {
  /** The newest place that this pod's clients have been given. */
  head(): Offset;
  /** An entry as an encoded packet; one that was deleted since it was read, as a packet that says so. */
  encode(entry: JournalEntry): string;
}

/** How clients catch up. */
export interface CatchUpOptions {
  readonly feed: MissedEntries;
  /** Bytes that may wait for a client before it is cut. */
  readonly maxBackpressureBytes: number;
  /** Called with the number of entries that were sent. */
  readonly onReplayed: (entries: number) => void;
  readonly log: Logger;
}

/** Bytes of a replay in flight at most: a slow client must not fill this process. */
const MAX_WINDOW_BYTES = 128 * 1024;

/** Sends clients that return what they missed, each as fast as it reads, and then makes them live. */
export class CatchUp {
  readonly #options: CatchUpOptions;
  readonly #windowBytes: number;

  constructor(options: CatchUpOptions) {
    this.#options = options;
    // Half of the limit, so that what comes on top of it (a heartbeat, a broadcast) does not cut the client.
    this.#windowBytes = Math.min(MAX_WINDOW_BYTES, options.maxBackpressureBytes / 2);
  }

  /**
   * Resolves when the client is live or gone. If entries are lost it gets a `gap`; if they cannot be read right now it is
   * sent away, and reconnects with the offset that it has reached.
   */
  async run(client: ReturningClient, from: Offset): Promise<void> {
    const { feed, onReplayed, log } = this.#options;
    const target = replayTarget({
      client,
      rooms: new Set(roomsOfClient(client.topics, client.id)),
      encode: (entry) => feed.encode(entry),
      windowBytes: this.#windowBytes,
      onReplayed,
    });
    try {
      const end = await replay(feed, { ...target, goLive: () => client.goLive() }, from);
      if (typeof end !== 'object') return;
      const requested = formatOffset(end.lostAfter);
      client.sendAll([encodeGap({ reason: 'expired', requested, resumed: formatOffset(feed.head()) })]);
      client.goLive();
    } catch (error) {
      // Redis went away in the middle.
      log.debug({ sid: client.id, err: error }, 'a replay was interrupted');
      client.sendAway();
    }
  }
}
