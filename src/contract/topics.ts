/** The topic that covers every signal. */
export const ALL_SIGNALS = '*';

/**
 * The topics under which a signal is delivered, widest first: `*`, `BTC/USDT`, `BTC/USDT@1m`.
 * A client is subscribed to at most one of them, so it gets the signal once.
 */
export function topicsOfSignal(symbol: string, timeframe: string): readonly string[] {
  return [ALL_SIGNALS, symbol, `${symbol}@${timeframe}`];
}

const ROOM_PREFIX = 'feed:';

/** The room of everybody who follows the feed: what goes there does not depend on topics. */
export const EVERYBODY = `${ROOM_PREFIX}@`;

/** The Socket.IO room of the clients that are subscribed to a topic. No topic is `@` alone, so it is never {@link EVERYBODY}. */
export function roomOfTopic(topic: string): string {
  return ROOM_PREFIX + topic;
}

/** Whether a Socket.IO room is one of the feed's. */
export function isFeedRoom(room: string): boolean {
  return room.startsWith(ROOM_PREFIX);
}
