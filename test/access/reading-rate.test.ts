import { expect, test } from 'vitest';
import { mayRead, newReader } from '../../src/access/reading-rate.js';
import { LARGEST_AUTH } from '../../src/access/sizes.js';

/** How many messages of so many bytes are read of a client that sends one every so often for a minute. */
function readInAMinute(bytes: number, everyMs: number): number {
  const reader = newReader();
  let read = 0;
  for (let nowMs = 0; nowMs < 60_000; nowMs += everyMs) if (mayRead(reader, bytes, nowMs)) read++;
  return read;
}

test('a client that changes a few of a thousand topics every second is always read', () => {
  expect(readInAMinute(16_000, 1000)).toBe(60);
});

test('the largest choice of topics is read whole, and what follows waits for it', () => {
  const reader = newReader();
  expect(mayRead(reader, LARGEST_AUTH, 0)).toBe(true);
  expect(mayRead(reader, 512, 1000)).toBe(false);
  expect(mayRead(reader, 511, 1000)).toBe(true);
  expect(mayRead(reader, LARGEST_AUTH, 60_000)).toBe(true);
});

test('of a client that sends long messages all the time, a small share is read', () => {
  expect(readInAMinute(6000, 25)).toBeLessThan(360);
});

test('short messages are always read', () => {
  expect(readInAMinute(511, 1)).toBe(60_000);
});
