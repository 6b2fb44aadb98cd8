import { setTimeout as sleep, setImmediate as nextTurn } from 'node:timers/promises';
import type { Offset } from '../contract/offset.js';

/** An entry as the replay sees it. */
export type Replayable = Offset;

/** Where missed entries come from. */
export interface ReplaySource<E extends Replayable> {
  /** As in `Journal.read`. */
  read(after: Offset, limit: number): readonly E[] | Promise<readonly E[] | undefined> | undefined;
}

/** Who gets them. */
export interface ReplayTarget<E extends Replayable> {
  /** Whether the client is still there and has not been cut. */
  isOpen(): boolean;
  /**
   * Sends entries, in order, as far as the client has room.
   *
   * @param after - the place that the client is at
   * @returns how many were sent; 0 while it has to read first
   */
  send(entries: readonly E[], after: Offset): number;
  /** Gives the client what is published from now on. MUST do so at once, in the same turn of the loop. */
  goLive(): void;
}

/** How a replay ended: caught up, or at a place after which entries are lost, or the client went away. */
export type ReplayEnd = 'live' | 'gone' | { readonly lostAfter: Offset };

const BATCH = 200;
/** Between two checks whether a client has room; twice as long each time that it has none, since it may never read. */
const POLL_MS = 10;
const MAX_POLL_MS = 320;
const READER_POLL_MS = 100;
/** Batches sent in one turn of the loop, so that thousands of replays share it. */
const BATCHES_A_TURN = 4;

/**
 * Sends a client what it has missed.
 *
 * When it calls `goLive` the client has every entry up to the newest one of this pod, and no entry has been delivered
 * since: `goLive` runs in the same turn of the loop as the last read.
 */
export async function replay<E extends Replayable>(
  source: ReplaySource<E>,
  target: ReplayTarget<E>,
  from: Offset,
): Promise<ReplayEnd> {
  let cursor = from;
  let rest: readonly E[] = [];
  let batches = 0;
  let pollMs = POLL_MS;
  for (;;) {
    if (!target.isOpen()) return 'gone';
    if (rest.length === 0) {
      const answer = source.read(cursor, BATCH);
      const isInMemory = answer === undefined || Array.isArray(answer);
      // Not awaited when it is at hand: going live must happen before anything else does.
      const entries = isInMemory
        ? (answer as readonly E[] | undefined)
        : await (answer as Promise<readonly E[] | undefined>);
      if (!target.isOpen()) return 'gone';
      if (entries === undefined) return { lostAfter: cursor };
      if (entries.length === 0) {
        if (isInMemory) {
          target.goLive();
          return 'live';
        }
        // The client is ahead of this pod, which has to read first.
        await sleep(READER_POLL_MS);
        continue;
      }
      rest = entries;
    }
    // A slow client paces its own replay: what has no room waits here until it has.
    const count = target.send(rest, cursor);
    const sent = rest[count - 1];
    if (sent !== undefined) cursor = { epoch: sent.epoch, seq: sent.seq };
    rest = rest.slice(count);
    if (count === 0) {
      await sleep(pollMs);
      pollMs = Math.min(2 * pollMs, MAX_POLL_MS);
      continue;
    }
    pollMs = POLL_MS;
    if (rest.length > 0 || ++batches % BATCHES_A_TURN === 0) await nextTurn();
  }
}
