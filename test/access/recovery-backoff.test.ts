import { expect, test } from 'vitest';
import { RecoveryBackoff } from '../../src/access/recovery-backoff.js';

/** Notes an address whenever it is let in, for a time. @returns how long each pause was, in seconds */
function pauses(backoff: RecoveryBackoff, address: string, seconds: number): number[] {
  const lengths: number[] = [];
  let begunMs: number | undefined;
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs += 100) {
    if (backoff.refuses(address, nowMs)) continue;
    if (begunMs !== undefined) lengths.push((nowMs - begunMs) / 1000);
    backoff.note(address, nowMs);
    begunMs = nowMs;
  }
  return lengths;
}

test('an address whose clients cannot be recovered is refused for longer and longer, up to half a minute', () => {
  expect(pauses(new RecoveryBackoff(), 'a', 130)).toEqual([2, 4, 8, 16, 30, 30, 30]);
});

test('many clients of one address that cannot be recovered at the same time count once', () => {
  const backoff = new RecoveryBackoff();
  for (let i = 0; i < 1000; i++) backoff.note('a', i);
  expect(backoff.refuses('a', 1999)).toBe(true);
  expect(backoff.refuses('a', 2000)).toBe(false);
  expect(backoff.refuses('b', 1000)).toBe(false);
});

test('everybody is let in at once when clients can be recovered again, and the next pause is short', () => {
  const backoff = new RecoveryBackoff();
  expect(backoff.isEmpty).toBe(true);
  pauses(backoff, 'a', 30);
  expect(backoff.isEmpty).toBe(false);
  backoff.clear();
  expect(backoff.isEmpty).toBe(true);
  expect(backoff.refuses('a', 30_000)).toBe(false);
  expect(pauses(backoff, 'a', 3)).toEqual([2]);
});

test('an address gets a short pause again after it has been quiet for a while', () => {
  const backoff = new RecoveryBackoff();
  backoff.note('a', 0);
  backoff.note('a', 100_000);
  expect(backoff.refuses('a', 101_999)).toBe(true);
  expect(backoff.refuses('a', 102_000)).toBe(false);
});

test('strangers with many addresses do not fill the memory', () => {
  const backoff = new RecoveryBackoff();
  for (let i = 0; i < 20_000; i++) backoff.note(`a${i}`, 0);
  expect(backoff.refuses('a0', 1)).toBe(false);
  expect(backoff.refuses('a19999', 1)).toBe(true);
});
