import { expect, test } from 'vitest';
import { FeedClient } from '../../src/delivery/feed-client.js';
import { LiveClients } from '../../src/delivery/live-clients.js';

const NO_TOPICS: ReadonlySet<string> = new Set();
const KB = 1024;
/** What it costs to take one client with very many topics out of its rooms. */
const LEAVE_MS = 2;

/** A client that takes nothing in, and answers when it is told to. */
class StillClient extends FeedClient {
  readonly id = 'still';
  readonly topics = NO_TOPICS;
  readonly hasChosen = false;
  isOpen = (): boolean => true;
  hearsRooms = (): boolean => true;
  bufferedBytes = (): number => 0;
  send = (): void => {};
  sendFrames = (): void => {};
  enter = (): void => {};
  leave = (): void => {};
  ping = (): void => {};
  excuse = (): void => {};
  giveUp = (): void => {};
}

/** Live clients on a clock of their own. */
function liveClients(count: number): { live: LiveClients; behind: FeedClient[]; clients: FeedClient[] } {
  let nowMs = 1000;
  const behind: FeedClient[] = [];
  const live = new LiveClients({
    limits: { softMark: 256 * KB },
    loop: { nowMs: () => nowMs },
    publishPing: () => {},
    onBehind: (client) => {
      nowMs += LEAVE_MS;
      behind.push(client);
      live.remove(client);
    },
  });
  const clients = Array.from({ length: count }, () => new StillClient());
  for (const client of clients) live.add(client);
  return { live, behind, clients };
}

function publish(live: LiveClients, bytes: number): void {
  live.ping();
  live.published(bytes);
}

test('when all clients are late at once, a few are turned away in each turn, and all of them in the end', () => {
  const { live, behind } = liveClients(100);
  publish(live, 128 * KB);
  publish(live, 512 * KB);
  expect(behind).toEqual([]);
  const turns: number[] = [];
  while (live.count > 0) {
    const before = behind.length;
    publish(live, 1 * KB);
    turns.push(behind.length - before);
  }
  expect(Math.max(...turns)).toBe(4);
  expect(Math.min(...turns)).toBe(4);
  expect(new Set(behind).size).toBe(100);
});

test('a client that answers before its turn comes stays live', () => {
  const { live, behind, clients } = liveClients(100);
  publish(live, 128 * KB);
  publish(live, 512 * KB);
  publish(live, 1 * KB);
  expect(behind).toHaveLength(4);
  for (const client of clients) while (client.owesPong) live.answered(client);
  for (let i = 0; i < 50; i++) publish(live, 1 * KB);
  expect(behind).toHaveLength(4);
  expect(live.count).toBe(96);
});
