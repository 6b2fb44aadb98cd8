import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { describe, expect, test } from 'vitest';
import type { Counts, Load, Run } from '../../../bench/result.js';
import {
  latencyFigures,
  limitedBy,
  marksOf,
  mergeHistograms,
  rowOf,
  spreadFigures,
  summarize,
} from '../../../bench/harness/summary.js';

const CLEAN: Counts = { expected: 100, received: 100, lost: 0, twice: 0, outOfOrder: 0, dropped: 0 };
const IDLE: Load = { server: 0.1, generator: 0.1, redis: 0.1, machine: 0.2 };

function encoded(...values: readonly number[]): string {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  for (const value of values) histogram.recordValue(value);
  return encodeIntoCompressedBase64(histogram);
}

function runs(...p99: readonly number[]): Run[] {
  return p99.map((value) => ({ figures: { p99: value }, counts: CLEAN, load: IDLE }));
}

describe('what limited a run', () => {
  test('is nothing while every process has room and the machine too', () => {
    expect(limitedBy({ server: 0.8, generator: 0.8, redis: 0.8, machine: 0.9 })).toBe('none');
  });

  test('is the busiest process over 80 % of a core', () => {
    expect(limitedBy({ ...IDLE, server: 0.95, generator: 0.9 })).toBe('server');
    expect(limitedBy({ ...IDLE, server: 0.85, redis: 0.9 })).toBe('redis');
    expect(limitedBy({ ...IDLE, server: 0.85, generator: 0.9, machine: 1 })).toBe('generator');
  });

  test('is the generator if it is as busy as the server: the row must not be praised for it', () => {
    expect(limitedBy({ ...IDLE, server: 0.9, generator: 0.9 })).toBe('generator');
  });

  test('is the machine if no process alone was busy', () => {
    expect(limitedBy({ server: 0.7, generator: 0.7, machine: 0.95 })).toBe('machine');
  });
});

describe('the sum of runs', () => {
  test('has the median and the range', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(summarize([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(summarize([7])).toEqual({ median: 7, min: 7, max: 7 });
  });

  test('merges histograms instead of averaging percentiles', () => {
    // 90 fast ones in one run and 10 slow ones in the other: the median of all is fast, not in between.
    const fast = encoded(...Array.from({ length: 90 }, () => 1000));
    const slow = encoded(...Array.from({ length: 10 }, () => 100_000));
    const merged = decodeFromCompressedBase64(mergeHistograms([fast, slow]) ?? '');
    expect(merged.totalCount).toBe(100);
    expect(merged.getValueAtPercentile(50)).toBe(1000);
    expect(merged.getValueAtPercentile(90)).toBe(1000);
    expect(merged.getValueAtPercentile(91)).toBeCloseTo(100_000, -3);
    expect(mergeHistograms([])).toBeUndefined();
  });

  test('reads figures in milliseconds out of microseconds', () => {
    const latency = encoded(...Array.from({ length: 100 }, (_, i) => (i + 1) * 10));
    expect(latencyFigures(latency)).toEqual({ p50: 0.5, p90: 0.9, p99: 0.99, p999: 1, max: 1 });
    expect(spreadFigures(latency)).toEqual({ spreadP50: 0.5, spreadP99: 0.99 });
  });

  test('has no figures where nothing was delivered in time', () => {
    expect(latencyFigures(encoded())).toEqual({});
    expect(spreadFigures(encoded())).toEqual({});
  });

  test('holds every figure that a run has, and the histograms of all', () => {
    const row = rowOf('gateway', [
      { figures: { p50: 1, connectsPerSecond: 10 }, latency: encoded(1), spread: encoded(2) },
      { figures: { p50: 3 }, latency: encoded(1) },
    ]);
    expect(row.figures).toEqual({
      p50: { median: 2, min: 1, max: 3 },
      connectsPerSecond: { median: 10, min: 10, max: 10 },
    });
    expect(decodeFromCompressedBase64(row.latency ?? '').totalCount).toBe(2);
    expect(decodeFromCompressedBase64(row.spread ?? '').totalCount).toBe(1);
  });
});

function late(publisherLate: number): Run[] {
  return runs(100, 100, 100).map((run) => ({ ...run, publisherLate }));
}

describe('a row is marked', () => {
  test('not at all when three clean runs agree', () => {
    expect(marksOf(runs(10, 11, 12))).toEqual([]);
  });

  test('when the generator was busy in one of the runs', () => {
    const [first, ...others] = runs(10, 10, 10);
    expect(marksOf([{ ...first, figures: {}, load: { ...IDLE, generator: 0.81 } }, ...others])).toEqual([
      'The load generator was busy (0.81 of a core), so it may have limited what was measured.',
    ]);
  });

  test('when anything was dropped, lost, twice or out of order', () => {
    const [first, ...others] = runs(10, 10, 10);
    const counts = { ...CLEAN, dropped: 1, lost: 2, twice: 3, outOfOrder: 4 };
    expect(marksOf([{ ...first, figures: {}, counts }, ...others])).toEqual([
      '1 connections were dropped.',
      '2 deliveries were lost.',
      '3 deliveries came twice.',
      '4 deliveries came out of order.',
    ]);
  });

  test('when the server did not keep up, and when its backlog was not waited for to the end', () => {
    const [first, second, third] = runs(10, 10, 10);
    const behind = { ...first, figures: {}, backlog: { seconds: 52.4, cutShort: false } };
    expect(marksOf([behind, second, third] as Run[])).toEqual([
      'It did not keep up: deliveries came for up to 52 s after the last signal.',
    ]);
    const more = { ...second, figures: {}, backlog: { seconds: 180, cutShort: true } };
    expect(marksOf([behind, more, third] as Run[])).toEqual([
      'It did not keep up: deliveries came for up to 180 s after the last signal, and then were not waited for any longer: what had not come counts as lost.',
    ]);
  });

  test('when runs are more than 20 % of their median apart', () => {
    expect(marksOf(runs(9, 10, 11))).toEqual([]);
    expect(marksOf(runs(9, 10, 11.1))).toEqual(['The runs disagree: p99 by 21 %.']);
  });

  test('not for tails that differ on every machine', () => {
    expect(marksOf([{ figures: { max: 1 } }, { figures: { max: 9 } }, { figures: { max: 5 } }])).toEqual([]);
  });

  test('when the publisher was late, by more than a little of what was measured', () => {
    expect(marksOf(late(9))).toEqual([]);
    expect(marksOf(late(11))).toEqual(['The publisher was late by 11.0 ms (p99), which is in the latencies.']);
  });

  test('when there are fewer than three runs, and when a run failed', () => {
    expect(marksOf(runs(10))).toEqual(['There was 1 run; 3 are needed to trust a median.']);
    expect(rowOf('raw', runs(10, 10), ['Run 2 failed: it ended.']).marks).toEqual([
      'Run 2 failed: it ended.',
      'There were 2 runs; 3 are needed to trust a median.',
    ]);
  });
});
