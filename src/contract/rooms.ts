import { ALL_SIGNALS, topicsOfSignal } from './topics.js';

const ROOM_PREFIX = 'feed:';
/** Rooms of clients that have chosen topics while connected: what they get says so in its offset. */
const CHOSEN_PREFIX = 'chosen:';

/** The room of everybody who follows the feed: what goes there does not depend on topics. */
export const EVERYBODY = `${ROOM_PREFIX}@`;

/** Groups of those who do not get every signal, and are told now and then where the journal is: one group after the other. */
export const CHECKPOINT_GROUPS = 50;

/** The room of such a group. */
export function roomOfCheckpoints(group: number): string {
  return `${EVERYBODY}${group}`;
}

/**
 * The group of a client that does not get every signal.
 *
 * @param id - random, and the same as long as the session lasts
 */
export function checkpointGroup(id: string): number {
  let sum = 0;
  for (let i = 0; i < id.length; i++) sum = (sum * 31 + id.charCodeAt(i)) % 65_521;
  return sum % CHECKPOINT_GROUPS;
}

/** The room of the clients that are subscribed to a topic. No topic starts with `@`, so this differs from all rooms above. */
function roomOfTopic(topic: string): string {
  return ROOM_PREFIX + topic;
}

/** The room of the clients that get every signal. */
export const ROOM_OF_ALL = roomOfTopic(ALL_SIGNALS);

const ROOMS_OF_ALL = [EVERYBODY, ROOM_OF_ALL];

/**
 * The rooms that a client is in, by the names that {@link roomsOfEntry} uses.
 *
 * @param id - of its session
 */
export function roomsOfClient(topics: ReadonlySet<string>, id: string): readonly string[] {
  // It covers all others, so it is alone.
  if (topics.has(ALL_SIGNALS)) return ROOMS_OF_ALL;
  return [EVERYBODY, ...[...topics].map(roomOfTopic), roomOfCheckpoints(checkpointGroup(id))];
}

/** The room beside another for clients that have chosen topics while connected. */
export function chosenRoom(room: string): string {
  return CHOSEN_PREFIX + room.slice(ROOM_PREFIX.length);
}

/** The rooms that a client is in, by the names of its transport. */
export function liveRooms(topics: ReadonlySet<string>, id: string, hasChosen: boolean): readonly string[] {
  const rooms = roomsOfClient(topics, id);
  return hasChosen ? rooms.map(chosenRoom) : rooms;
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
