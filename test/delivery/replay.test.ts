import { expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Offset } from '../../src/contract/offset.js';
import { replay } from '../../src/delivery/replay.js';

const FROM: Offset = { epoch: 'e', seq: 0 };

/** Entries up to a number. */
function upTo(count: number): { read(after: Offset, limit: number): Offset[] } {
  return {
    read: ({ seq }, limit) =>
      Array.from({ length: Math.min(limit, count - seq) }, (_, i) => ({ epoch: 'e', seq: seq + 1 + i })),
  };
}

test('a client that has no room is asked less and less often, and gets the rest once it has', async () => {
  let looks = 0;
  let hasRoom = false;
  const got: number[] = [];
  const done = replay(
    upTo(500),
    {
      isOpen: () => true,
      send: (entries) => {
        looks++;
        const taken = hasRoom ? entries : [];
        got.push(...taken.map(({ seq }) => seq));
        return taken.length;
      },
      goLive: () => {},
    },
    FROM,
  );
  await sleep(1500);
  // Thousands of them would cost a core if each were looked at a hundred times a second.
  expect(looks).toBeLessThan(15);
  expect(looks).toBeGreaterThan(3);
  hasRoom = true;
  expect(await done).toBe('live');
  expect(got).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
});

test('a client that reads slowly is served as soon as it has room', async () => {
  let room = 0;
  const reading = setInterval(() => (room = 1), 20);
  const began = performance.now();
  const end = await replay(
    upTo(40),
    {
      isOpen: () => true,
      send: () => {
        const taken = room;
        room = 0;
        return taken;
      },
      goLive: () => {},
    },
    FROM,
  );
  clearInterval(reading);
  expect(end).toBe('live');
  // 20 ms each, and what a busy machine adds; with a long wait each it would take ten times as long.
  expect(performance.now() - began).toBeLessThan(5000);
});
