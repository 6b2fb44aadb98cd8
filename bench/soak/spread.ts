import { Random } from '../../test/support/random.js';

/** Most of some sorted times that lie within any window of a length. */
export function peak(times: readonly number[], window: number): number {
  let first = 0;
  let most = 0;
  for (const [i, time] of times.entries()) {
    while ((times[first] ?? time) <= time - window) first++;
    most = Math.max(most, i - first + 1);
  }
  return most;
}

const TRIALS = 300;

/**
 * What {@link peak} is when times fall at random, each anywhere within a duration: a spread with a smaller one is more even
 * than chance, and one window is too short to tell anything where chance alone comes near the limit.
 *
 * @returns the median and the 99th percentile of many trials
 */
export function randomPeak(count: number, duration: number, window: number): { median: number; p99: number } {
  const random = new Random(1);
  const peaks = Array.from({ length: TRIALS }, () => {
    const times = Float64Array.from({ length: count }, () => random.next() * duration).toSorted();
    return peak([...times], window);
  }).toSorted((a, b) => a - b);
  return { median: peaks[Math.floor(TRIALS / 2)] ?? 0, p99: peaks[Math.floor(TRIALS * 0.99)] ?? 0 };
}
