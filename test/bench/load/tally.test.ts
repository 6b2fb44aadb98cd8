import { decodeFromCompressedBase64, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { expect, test } from 'vitest';
import { mergeReports } from '../../../bench/load/fleet-report.js';
import type { WorkerReport } from '../../../bench/load/fleet-types.js';
import { symbolsOf } from '../../../bench/load/message.js';
import { Seen, Times, Wanted, emptyHistogram } from '../../../bench/load/tally.js';

const NONE = {
  clients: 0,
  expected: 0,
  received: 0,
  lost: 0,
  silent: 0,
  twice: 0,
  outOfOrder: 0,
  dropped: 0,
  reconnected: 0,
  recovered: 0,
};

function workerReport(times: Times, from: number): WorkerReport {
  return {
    counts: NONE,
    slow: NONE,
    lastBackAt: 0,
    cpuMillis: 0,
    ...times.report(from),
  };
}

test('places are numbered without holes over the signals that are wanted', () => {
  const topics = { symbols: 7, perClient: 3 };
  const wanted = new Wanted(topics, [1, 4, 5]);
  expect([0, 1, 4, 5, 6, 8, 11, 12].map((n) => wanted.place(n))).toEqual([-1, 0, 1, 2, -1, 3, 4, 5]);
  expect([0, 1, 2, 5, 6, 7, 8, 9, 70].map((n) => wanted.below(n))).toEqual([0, 0, 1, 2, 3, 3, 3, 4, 30]);
});

test('as many signals are below a number as have places', () => {
  const topics = { symbols: 50, perClient: 6 };
  for (let client = 0; client < 20; client++) {
    const wanted = new Wanted(topics, symbolsOf(client, topics));
    const numbers = Array.from({ length: 180 }, (_, n) => n);
    const places = numbers.map((n) => wanted.place(n));
    expect(places.filter((place) => place >= 0)).toEqual(
      Array.from({ length: wanted.below(180) }, (_, place) => place),
    );
    for (const n of numbers) expect(wanted.below(n)).toBe(places.slice(0, n).filter((place) => place >= 0).length);
  }
});

test('what comes in order, late, twice and never is told apart', () => {
  const seen = new Seen();
  expect([0, 1, 4, 2, 2, 1, 5].map((place) => seen.take(place))).toEqual([
    'inOrder',
    'inOrder',
    'inOrder',
    'late',
    'twice',
    'twice',
    'inOrder',
  ]);
  expect(seen.missing(6)).toBe(1);
  expect(seen.missing(9)).toBe(4);
});

test('known latencies give known percentiles, over several workers', () => {
  const workers = [new Times(2000), new Times(2000)];
  const start = 5_000_000_000;
  // 1 to 1000 ms, once each, half of them in each worker.
  for (let i = 1; i <= 1000; i++) workers[i % 2]?.add(i, start + i * 1000, start + i * 1000 + i * 1000);
  const { latency } = mergeReports(workers.map((times) => workerReport(times, 0)));
  const histogram = decodeFromCompressedBase64(latency);
  for (const percentile of [1, 10, 50, 90, 99, 100]) {
    const millis = histogram.getValueAtPercentile(percentile) / 1000;
    // Three digits: a tenth of a percent.
    expect(Math.abs(millis - percentile * 10)).toBeLessThanOrEqual(percentile * 10 * 0.001 + 0.001);
  }
  expect(histogram.totalCount).toBe(1000);
});

test('latencies of every length are counted in the steps of the histogram', () => {
  const latencies = Array.from({ length: 4000 }, (_, i) => Math.round(1.00508 ** i) % 600_000_001).concat([
    0, 1023, 1024, 2047, 2048, 4095, 4096, 600_000_000,
  ]);
  const times = new Times(latencies.length);
  const expected = emptyHistogram();
  for (const [n, latency] of latencies.entries()) {
    times.add(n, 1000, 1000 + latency);
    expected.recordValue(latency);
  }
  const counted = decodeFromCompressedBase64(times.report(0).seconds[0] ?? '');
  expect(counted.totalCount).toBe(latencies.length);
  expect(counted.outputPercentileDistribution()).toBe(
    decodeFromCompressedBase64(encodeIntoCompressedBase64(expected)).outputPercentileDistribution(),
  );
});

test('the spread of a signal is from its first client to its last, in whichever worker they are', () => {
  const workers = [new Times(4), new Times(4)];
  workers[0]?.add(2, 1000, 5000);
  workers[0]?.add(2, 1000, 6000);
  workers[1]?.add(2, 1000, 9000);
  workers[1]?.add(3, 2000, 9500);
  const spread = decodeFromCompressedBase64(mergeReports(workers.map((times) => workerReport(times, 1))).spread);
  // Signal 3, which only one client had, has no spread; three digits are kept.
  expect(spread.totalCount).toBe(2);
  expect(spread.getValueAtPercentile(50)).toBe(0);
  expect(spread.maxValue).toBeCloseTo(4000, -1);
});

test('the timeline goes by the second in which a signal was due, also where a worker missed the first', () => {
  const [early, late] = [new Times(10), new Times(10)];
  early.add(0, 1_000_000, 1_010_000);
  early.add(1, 1_999_999, 5_000_000);
  early.add(2, 2_000_000, 2_020_000);
  late.add(2, 2_000_000, 2_030_000);
  late.add(3, 3_100_000, 3_110_000);
  const { timeline } = mergeReports([early, late].map((times) => workerReport(times, 0)));
  expect(timeline.map(({ at, deliveries }) => [at, deliveries])).toEqual([
    [0, 2],
    [1, 2],
    [2, 1],
  ]);
  expect(timeline[0]?.max).toBeCloseTo(3000, -1);
  expect(timeline[1]?.max).toBeCloseTo(30, 1);
});
