import type { Frame } from './frames.js';
import type { Walk } from './walk.js';

/**
 * One client, as the delivery sees it: topics, a cursor, and the door that it came in by.
 *
 * A live client has no {@link walk}: its cursor is the place of the fan-out, and what is published to rooms reaches it. Doors
 * extend this class.
 */
export abstract class FeedClient {
  /** Set while the client is not live. */
  walk: Walk | undefined = undefined;
  /** Place in the list of live clients, or -1. */
  slot = -1;
  /** Pings that were sent to it, and those that it has answered. */
  pings = 0;
  pongs = 0;
  /** When the oldest ping was sent that it has not answered, about; whole ms. */
  askedAtMs = 0;
  /** What had been published to live clients by then, in KB. */
  askedAtKb = 0;

  /** Whether a ping has not been answered. */
  get owesPong(): boolean {
    return this.pings > this.pongs;
  }

  /** Names its session. */
  abstract get id(): string;
  /** The topics that are active. */
  abstract get topics(): ReadonlySet<string>;
  /** Whether it has chosen topics while it was connected, now or before it reconnected. */
  abstract get hasChosen(): boolean;
  /** Whether it is still there. */
  abstract isOpen(): boolean;
  /** Whether what is published to rooms reaches it: not on long-polling. */
  abstract hearsRooms(): boolean;
  /** Bytes that wait in this process for the client to take them. */
  abstract bufferedBytes(): number;
  /** Sends packets in order, in one write where the transport can. The caller sees to it that there is room. */
  abstract send(packets: readonly string[]): void;
  /** The same, of what is sent to many. */
  abstract sendFrames(frames: readonly Frame[]): void;
  /** Joins rooms. MUST do so at once, in the same turn of the loop. */
  abstract enter(rooms: readonly string[]): void;
  /** Leaves rooms. MUST do so at once. */
  abstract leave(rooms: readonly string[]): void;
  /** Sends a ping behind everything that was sent, and reports it to `Scheduler.pinged`. */
  abstract ping(): void;
  /** Keeps the heartbeat from giving up a client that is known to be slow. */
  abstract excuse(): void;
  /** Ends the connection of a client that takes nothing. */
  abstract giveUp(): void;

  /** To be called for every ping that is sent. @param nowMs - whole ms */
  notePing(nowMs: number): void {
    if (this.pings === this.pongs) this.askedAtMs = nowMs;
    this.pings++;
  }

  /** To be called for every answer to a ping. @param nowMs - whole ms */
  notePong(nowMs: number): void {
    if (this.pongs === this.pings) return;
    this.pongs++;
    this.askedAtMs = nowMs;
  }
}
