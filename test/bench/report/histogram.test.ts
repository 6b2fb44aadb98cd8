import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { expect, test } from 'vitest';
import { hgrmFiles } from '../../../bench/report/files.js';
import { hgrmText, percentileCurve } from '../../../bench/report/histogram.js';
import { fanoutExample, result } from './example.js';

/** 1,000 values of 0.1, 0.2 … 100 ms. */
function knownValues(): string {
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000 });
  for (let i = 1; i <= 1000; i++) histogram.recordValue(i * 100);
  return encodeIntoCompressedBase64(histogram);
}

test('an .hgrm text has the columns that plotFiles.html reads, in ms', () => {
  const lines = hgrmText(knownValues()).split('\n');
  expect(lines[0]).toBe('       Value     Percentile TotalCount 1/(1-Percentile)');
  const median = lines.find((line) => line.includes(' 0.500000000000 '));
  expect(median?.trim().split(/\s+/)).toEqual(['50.015', '0.500000000000', '500', '2.00']);
  expect(
    lines
      .find((line) => line.includes(' 1.000000000000 '))
      ?.trim()
      .split(/\s+/)
      .slice(1),
  ).toEqual(['1.000000000000', '1000']);
  expect(lines.find((line) => line.startsWith('#[Max'))).toContain('Total count    =         1000');
});

test('a percentile curve goes from the lowest value to the percentile that one value stands for', () => {
  const curve = percentileCurve(knownValues());
  expect(curve[0]).toEqual({ inverse: 1, value: 0.1 });
  const p90 = curve.find(({ inverse }) => Math.abs(inverse - 10) < 1e-9);
  expect(p90?.value).toBeCloseTo(90, 0);
  expect(curve.at(-1)?.inverse).toBeCloseTo(1000, 6);
  expect(curve.at(-1)?.value).toBeCloseTo(99.9, 0);
});

test('every histogram of a row has a file of its own', () => {
  expect([...hgrmFiles(result(fanoutExample())).keys()].slice(0, 3)).toEqual([
    'fanout-gateway.hgrm',
    'fanout-gateway-spread.hgrm',
    'fanout-raw.hgrm',
  ]);
});
