import { type Offset, formatOffset } from '../contract/offset.js';
import { encodeGap } from '../contract/packet.js';
import type { JournalEntry } from '../journal/journal.js';
import type { FeedClient } from './feed-client.js';
import { type Frame, Frames } from './frames.js';
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
  readonly #plain = new Frames(false);
  readonly #chosen = new Frames(true);

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
    const shared = client.hasChosen ? this.#chosen : this.#plain;
    const frames: Frame[] = [];
    let bytes = 0;
    let served = 0;
    /** What there is no room for. */
    let next: JournalEntry | undefined;
    let last: JournalEntry | undefined;
    for (const { entry, isWanted, lostAfter } of steps) {
      const frame = isWanted ? shared.of(current(entry)) : undefined;
      const size = frame?.size ?? 0;
      if (bytes + size > roomBytes && !(frames.length === 0 && pace.isIdle(client, walk))) {
        next = entry;
        break;
      }
      if (lostAfter !== undefined) frames.push(gapBefore(lostAfter, entry));
      if (frame !== undefined) {
        frames.push(frame);
        if (!entry.deleted) served++;
      }
      bytes += size;
      last = entry;
    }
    if (next === undefined) walk.place = end;
    else if (last !== undefined) walk.place = { epoch: last.epoch, seq: last.seq };
    if (frames.length > 0) client.sendFrames(frames);
    if (served > 0) onServed(served, !walk.isFollowing);
    pace.sent(client, walk, bytes);
    return next === undefined;
  }
}

/** Reports the entries that are lost between a place and an entry. */
function gapBefore(lostAfter: Offset, { epoch, seq }: Offset): Frame {
  const text = encodeGap({
    reason: 'epoch',
    requested: formatOffset(lostAfter),
    resumed: formatOffset({ epoch, seq: seq - 1 }),
  });
  return { text, size: text.length, bytes: undefined };
}
