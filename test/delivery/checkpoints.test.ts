import { afterEach, expect, test, vi } from 'vitest';
import { CHECKPOINT_GROUPS } from '../../src/contract/rooms.js';
import { Checkpoints } from '../../src/delivery/checkpoints.js';

afterEach(() => {
  vi.useRealTimers();
});

test('every group gets one checkpoint in ten seconds, one after the other, and only if the journal has moved', () => {
  vi.useFakeTimers();
  const told: [seq: number, group: number][] = [];
  let seq = 7;
  const checkpoints = new Checkpoints({ checkpoint: (group) => void told.push([seq, group]) }, () => ({
    epoch: 'e',
    seq,
  }));
  checkpoints.start();
  vi.advanceTimersByTime(20_000);
  expect(told).toEqual([]);

  seq = 8;
  vi.advanceTimersByTime(200);
  expect(told).toHaveLength(1);
  vi.advanceTimersByTime(9800);
  expect(told.map(([, group]) => group).toSorted((a, b) => a - b)).toEqual([...Array(CHECKPOINT_GROUPS).keys()]);
  expect(new Set(told.map(([place]) => place))).toEqual(new Set([8]));

  vi.advanceTimersByTime(20_000);
  expect(told).toHaveLength(CHECKPOINT_GROUPS);
  seq = 9;
  checkpoints.stop();
  vi.advanceTimersByTime(20_000);
  expect(told).toHaveLength(CHECKPOINT_GROUPS);
});
