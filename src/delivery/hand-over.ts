import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeEntry, encodeGap } from '../contract/packet.js';
import type { JournalEntry } from '../journal/journal.js';
import type { FeedClient } from './feed-client.js';
import type { Pace } from './pace.js';
import type { Stretch } from './walk-source.js';
import type { Walk } from './walk.js';

/** What handing over works with. */
export interface HandOverOptions {
  readonly pace: Pace;
  /** An entry as it is now: without its payload if it was deleted since it was read. */
  readonly current: (entry: JournalEntry) => JournalEntry;
  /** As `SchedulerOptions` has it. */
  readonly onServed: (entries: number, isReplay: boolean) => void;
}

/** Hands entries over to one client, as many as it has room for; its cursor moves with them. */
export class HandOver {
  readonly #options: HandOverOptions;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  /** Sends the packets that come before all else. @returns how many there was room for */
  greet(client: FeedClient, walk: Walk, roomBytes: number): number {
    const { pace } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const packet of walk.first) {
      if (bytes + packet.length > roomBytes && !(count === 0 && pace.isIdle(client, walk))) break;
      bytes += packet.length;
      count++;
    }
    client.send(walk.first.slice(0, count));
    walk.first = walk.first.slice(count);
    pace.sent(client, walk, bytes);
    return count;
  }

  /**
   * Sends a stretch of the way. An entry is looked up again in the turn in which it is sent: it may have been deleted since it was
   * read (docs/ordering.md).
   *
   * @returns whether there was room for all of it
   */
  send(client: FeedClient, { steps, end }: Stretch, roomBytes: number): boolean {
    const { pace, current, onServed } = this.#options;
    const { walk } = client;
    if (walk === undefined) return true;
    const packets: string[] = [];
    let bytes = 0;
    let served = 0;
    let isAll = true;
    for (const { entry, isWanted, lostAfter } of steps) {
      const packet = isWanted ? encodeEntry(current(entry), client.hasChosen) : '';
      // Sizes are those of the text: a packet that is larger in UTF-8 is up to three times as large.
      if (bytes + packet.length > roomBytes && !(packets.length === 0 && pace.isIdle(client, walk))) {
        isAll = false;
        break;
      }
      if (lostAfter !== undefined) packets.push(gapBefore(lostAfter, entry));
      if (isWanted) {
        packets.push(packet);
        if (!entry.deleted) served++;
      }
      bytes += packet.length;
      walk.place = { epoch: entry.epoch, seq: entry.seq };
    }
    if (isAll) walk.place = end;
    if (packets.length > 0) client.send(packets);
    if (served > 0) onServed(served, !walk.isFollowing);
    pace.sent(client, walk, bytes);
    return isAll;
  }
}

/** The packet that reports the entries that are lost between a place and an entry. */
function gapBefore(lostAfter: Offset, { epoch, seq }: Offset): string {
  return encodeGap({
    reason: 'epoch',
    requested: formatOffset(lostAfter),
    resumed: formatOffset({ epoch, seq: seq - 1 }),
  });
}
