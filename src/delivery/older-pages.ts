import type { Logger } from 'pino';
import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeGap } from '../contract/packet.js';
import { messageOf } from '../errors.js';
import type { JournalEntry } from '../journal/journal.js';
import type { FeedClient } from './feed-client.js';
import type { Loop } from './loop.js';
import type { Walk } from './walk.js';

/** What reading older entries works with. */
export interface OlderPagesOptions {
  /** As in `Journal.older`. */
  readonly older: (after: Offset) => Promise<readonly JournalEntry[] | undefined>;
  /** The place that live clients are at. */
  readonly place: () => Offset;
  readonly loop: Pick<Loop, 'every'>;
  /** Gives a client its turn. */
  readonly goOn: (client: FeedClient, walk: Walk) => void;
  readonly log: Logger;
}

/** How long a client waits before a page is asked for again. */
const RETRY_MS = 500;

/** Reads what is older than the newest entries, for clients that are so far behind. */
export class OlderPages {
  readonly #options: OlderPagesOptions;
  /** Pages that were read, until their clients have their turn. */
  readonly #read = new Map<FeedClient, readonly JournalEntry[]>();

  constructor(options: OlderPagesOptions) {
    this.#options = options;
  }

  /** The page that was read for a client; it is handed out once. */
  take(client: FeedClient): readonly JournalEntry[] | undefined {
    const page = this.#read.get(client);
    if (page !== undefined) this.#read.delete(client);
    return page;
  }

  /** Forgets a client that is gone. */
  forget(client: FeedClient): void {
    this.#read.delete(client);
  }

  /**
   * Reads the page after the place of a client, and gives it its turn then. A client whose place has left the journal gets a `gap`
   * and continues at the place of the live feed.
   */
  read(client: FeedClient, walk: Walk): void {
    const { older, place, goOn, log } = this.#options;
    walk.state = 'reading';
    const from = walk.place;
    const isWanted = (): boolean => client.walk === walk && client.isOpen();
    older(from).then(
      (page) => {
        if (!isWanted()) return;
        if (page?.length === 0) {
          // The reader of this pod has to get there first.
          this.#later(() => isWanted() && goOn(client, walk));
          return;
        }
        if (page === undefined) {
          const resumed = place();
          client.send([
            encodeGap({ reason: 'expired', requested: formatOffset(from), resumed: formatOffset(resumed) }),
          ]);
          walk.place = resumed;
        } else this.#read.set(client, page);
        goOn(client, walk);
      },
      (error: unknown) => {
        log.debug({ sid: client.id, reason: messageOf(error) }, 'older entries could not be read; trying again');
        this.#later(() => isWanted() && goOn(client, walk));
      },
    );
  }

  #later(work: () => void): void {
    const stop = this.#options.loop.every(RETRY_MS, () => {
      stop();
      work();
    });
  }
}
