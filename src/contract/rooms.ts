import { ALL_SIGNALS, topicsOfSignal } from './topics.js';

const ROOM_PREFIX = 'feed:';

/** The room of everybody who follows the feed: what goes there does not depend on topics. */
export const EVERYBODY = `${ROOM_PREFIX}@`;

/** Groups of those who do not get every signal, and are told now and then where the journal is: one group after the other. */
export const CHECKPOINT_GROUPS = 50;

/** The room of such a group. */
export function roomOfCheckpoints(group: number): string {
  return `${EVERYBODY}${group}`;
}

/** @param id - random, and the same as long as the session lasts */
function checkpointGroup(id: string): number {
  let sum = 0;
  for (let i = 0; i < id.length; i++) sum = (sum * 31 + id.charCodeAt(i)) % 65_521;
  return sum % CHECKPOINT_GROUPS;
}

/** The Socket.IO room of the clients that are subscribed to a topic. No topic starts with `@`, so this differs from all rooms above. */
function roomOfTopic(topic: string): string {
  return ROOM_PREFIX + topic;
}

/** The room of the clients that get every signal. */
export const ROOM_OF_ALL = roomOfTopic(ALL_SIGNALS);

/**
 * The rooms that a client is in.
 *
 * @param id - of its session
 */
export function roomsOfClient(topics: ReadonlySet<string>, id: string): string[] {
  // It covers all others, so it is alone.
  if (topics.has(ALL_SIGNALS)) return [EVERYBODY, ROOM_OF_ALL];
  return [EVERYBODY, ...[...topics].map(roomOfTopic), roomOfCheckpoints(checkpointGroup(id))];
}

/** Whether a Socket.IO room is one of the feed's. */
export function isFeedRoom(room: string): boolean {
  return room.startsWith(ROOM_PREFIX);
}

/** Whether a Socket.IO room is that of a topic. */
export function isTopicRoom(room: string): boolean {
  return isFeedRoom(room) && !room.startsWith(EVERYBODY);
}

/** The rooms that an entry goes to. */
export function roomsOfEntry(entry: {
  readonly event: string;
  readonly symbol?: string;
  readonly timeframe?: string;
}): string[] {
  if (entry.event === 'status_update') return [EVERYBODY];
  return topicsOfSignal(entry.symbol ?? '', entry.timeframe ?? '').map(roomOfTopic);
}
