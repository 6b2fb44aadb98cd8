import type { Offset } from '../contract/offset.js';
import { roomsOfClient } from '../contract/rooms.js';
import type { FeedClient } from './feed-client.js';

/** A client on its way to the head of the feed. */
export interface Walk {
  /** The last entry that was handed to it: what a client has is this, and nothing else. */
  place: Offset;
  /** Packets that come before the first entry: the greeting of a client. */
  first: readonly string[];
  /** The rooms whose entries it wants. */
  rooms: ReadonlySet<string>;
  /**
   * What it waits for: its turn; room, which comes with an answer to a ping or with a drained transport; a page of Redis;
   * or the next entry, at the head, on a transport that rooms do not reach.
   */
  state: 'queued' | 'full' | 'reading' | 'head';
  /** Whether it has been at the head since it connected: what it gets since then is late at most, and not a replay. */
  isFollowing: boolean;
  /** Bytes that may be under way to it. */
  windowBytes: number;
  /** Bytes that are under way to it: sent since the last ping that it has answered. */
  inFlightBytes: number;
  /** How many of them were sent before the ping that is to be answered. */
  askedBytes: number;
  /** Number of the ping whose answer is waited for; 0 if none. */
  askedPing: number;
  /** When it last took something. */
  progressAtMs: number;
  /** What waited for it then. */
  bufferedBytes: number;
  /** Number of the news that it was told last: `Scheduler.tell`. */
  heard: number;
  /** A place that somebody waits for this client to reach. */
  goal: { readonly place: Offset; readonly reached: () => void } | undefined;
}

/** How a walk begins. */
export interface WalkStart {
  readonly place: Offset;
  readonly first: readonly string[];
  readonly windowBytes: number;
  /** As `Walk` has it. */
  readonly heard: number;
  readonly nowMs: number;
}

/** A walk of a client that has nothing under way to it. */
export function newWalk(client: FeedClient, { place, first, windowBytes, heard, nowMs }: WalkStart): Walk {
  return {
    place,
    first,
    rooms: new Set(roomsOfClient(client.topics, client.id)),
    state: 'full',
    isFollowing: false,
    windowBytes,
    inFlightBytes: 0,
    askedBytes: 0,
    askedPing: 0,
    progressAtMs: nowMs,
    bufferedBytes: 0,
    heard,
    goal: undefined,
  };
}
