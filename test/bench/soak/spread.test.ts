import { expect, test } from 'vitest';
import { peak, randomPeak } from '../../../bench/soak/spread.js';

test('the peak of evenly spaced times is what falls into one window', () => {
  const times = Array.from({ length: 1000 }, (_, i) => i * 20);
  expect(peak(times, 1000)).toBe(50);
  expect(peak(times, 2000)).toBe(100);
});

test('the peak finds a burst wherever it lies', () => {
  const even = Array.from({ length: 100 }, (_, i) => i * 100);
  expect(
    peak(
      [...even, 5001, 5002, 5003, 5004].toSorted((a, b) => a - b),
      1000,
    ),
  ).toBe(14);
  expect(peak([], 1000)).toBe(0);
});

test('times at random peak above the even spread, the more so the fewer fall into a window', () => {
  const many = randomPeak(2000, 20_000, 1000);
  const few = randomPeak(100, 20_000, 1000);
  expect(many.median / 100).toBeGreaterThan(1.1);
  expect(many.p99 / 100).toBeLessThan(1.6);
  expect(few.median / 5).toBeGreaterThan(many.median / 100);
});
