import type { DefaultEventsMap, Server, Socket } from 'socket.io';
import type { ClientToServerEvents, ServerToClientEvents } from '../contract/events.js';
import type { RecoveredData } from '../delivery/recovery.js';

/** What is known of a client. */
export interface ClientData extends RecoveredData {
  topics?: ReadonlySet<string>;
  /** All that its token lets it subscribe to; unset: everything. */
  allowed?: ReadonlySet<string>;
  /** The user that its token names. */
  user?: string;
  /** When its token ends, as Unix time in ms. */
  expiresAtMs?: number;
}

/** The Socket.IO server, with the feed's events typed. */
export type FeedServer = Server<
  ClientToServerEvents,
  ServerToClientEvents & DefaultEventsMap,
  DefaultEventsMap,
  ClientData
>;

/** One client. */
export type FeedSocket = Socket<
  ClientToServerEvents,
  ServerToClientEvents & DefaultEventsMap,
  DefaultEventsMap,
  ClientData
>;
