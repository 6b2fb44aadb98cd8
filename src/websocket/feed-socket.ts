import type { DefaultEventsMap, Server, Socket } from 'socket.io';
import type { ClientToServerEvents, ServerToClientEvents } from '../contract/events.js';
import type { RecoveredData } from './recovery.js';

/** What is known of a client. */
export interface ClientData extends RecoveredData {
  topics?: ReadonlySet<string>;
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
