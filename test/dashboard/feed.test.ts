import { expect, test } from 'vitest';
import { Contiguity } from '../../src/dashboard/page/contiguity.js';
import { duration } from '../../src/dashboard/page/format.js';
import { Feed, KEPT } from '../../src/dashboard/page/feed.js';
import { History } from '../../src/dashboard/page/history.js';
import { SECONDS, Timeline } from '../../src/dashboard/page/timeline.js';
import { signal } from '../support/signals.js';

const at = (seq: number, epoch = 'a'): { epoch: string; seq: number } => ({ epoch, seq });

test('a ring returns its items newest first and forgets older ones', () => {
  const ring = new History<number>(3);
  expect([...ring.newestFirst()]).toEqual([]);
  for (let i = 1; i <= 7; i++) {
    ring.push(i);
    expect([...ring.newestFirst()]).toEqual([i, i - 1, i - 2].filter((item) => item > 0));
  }
  expect(ring.size).toBe(3);
});

test('missing messages are counted, and so are those that arrive twice', () => {
  const checked = new Contiguity();
  expect([5, 6, 7].map((seq) => checked.take(at(seq)))).toEqual([0, 0, 0]);
  expect(checked.take(at(10))).toBe(2);
  expect(checked.take(at(10))).toBe(0);
  expect(checked.take(at(9))).toBe(0);
  expect(checked.take(at(11))).toBe(0);
  expect([checked.missed, checked.holes, checked.repeated]).toEqual([2, 1, 2]);
});

test('a place that the gateway moves on to is a hole once, however often it is named', () => {
  const checked = new Contiguity();
  checked.moveTo(at(5));
  checked.take(at(6));
  // A recovered client is told where it was.
  expect(checked.moveTo(at(6))).toBe(0);
  expect(checked.moveTo(at(20))).toBe(14);
  expect(checked.moveTo(at(20))).toBe(0);
  expect(checked.take(at(21))).toBe(0);
  expect([checked.missed, checked.holes]).toEqual([14, 1]);
});

test('a message that was deleted is no hole, however often it is named, and one before it is', () => {
  const checked = new Contiguity();
  checked.take(at(5));
  expect([checked.pass(at(6)), checked.pass(at(6)), checked.take(at(7))]).toEqual([0, 0, 0]);
  expect(checked.isWhole).toBe(true);
  expect(checked.pass(at(10))).toBe(2);
  expect([checked.missed, checked.holes, checked.repeated]).toEqual([2, 1, 0]);
});

test('a lost journal is reported separately, since nobody knows how much was in it', () => {
  const checked = new Contiguity();
  checked.take(at(50));
  expect(checked.isWhole).toBe(true);
  checked.moveTo(at(0, 'b'));
  checked.moveTo(at(0, 'b'));
  expect(checked.take(at(1, 'b'))).toBe(0);
  expect([checked.missed, checked.lostJournals, checked.isWhole]).toEqual([0, 1, false]);
});

test('a new epoch is no hole, however far above the old one it begins', () => {
  const checked = new Contiguity();
  checked.take(at(5));
  expect(checked.take(at(6, 'b'))).toBe(0);
  expect(checked.take(at(1_764_292_812_345_678, 'c'))).toBe(0);
  expect(checked.take(at(1_764_292_812_345_680, 'c'))).toBe(1);
  expect([checked.missed, checked.holes]).toEqual([1, 1]);
});

test('the seconds have what came in them, and after a long sleep nothing old is left', () => {
  const timeline = new Timeline(1000.5);
  for (const latency of [1, 2, 3, undefined]) timeline.add(latency);
  timeline.advance(1001.2);
  timeline.add(50);
  timeline.advance(1003);
  const { seconds, rate, median, high } = timeline.points;
  expect([seconds, rate, median, high].map((list) => list.slice(-3))).toEqual([
    [1000, 1001, 1002],
    [4, 1, 0],
    [2, 50, null],
    [3, 50, null],
  ]);
  timeline.advance(1_000_000);
  expect(seconds.at(-1)).toBe(999_999);
  expect(rate.reduce<number>((sum, value) => sum + (value ?? 0), 0)).toBe(0);
  expect([seconds, rate, median, high].map((list) => list.length)).toEqual([SECONDS, SECONDS, SECONDS, SECONDS]);
});

test('what the page keeps is bounded, drawn or not', () => {
  const feed = new Feed(0);
  for (let i = 1; i <= 3 * KEPT; i++) feed.take(signal(i, { symbol: `S${i}` }), `e:${i}`, 0);
  expect(feed.received).toBe(3 * KEPT);
  expect(feed.kept.size).toBe(KEPT);
  expect(feed.takeFresh().length).toBeLessThanOrEqual(KEPT);
  expect(feed.symbols.size).toBeLessThanOrEqual(200);
  expect(feed.contiguity.missed).toBe(0);
});

test('a signal of long ago is listed with its age and kept out of the plot', () => {
  const feed = new Feed(0);
  const now = Date.parse('2023-10-27T12:00:00Z');
  feed.take(signal(1), 'e:1', now);
  expect(feed.takeFresh()[0]).toMatchObject({ latencyMs: 7_200_000 });
  feed.timeline.advance(now / 1000 + 1);
  expect(feed.timeline.points.rate.at(-1)).toBe(1);
  expect(feed.timeline.latency).toBeUndefined();
  expect([7_200_000, 12, -3, 59_000, 40_000_000].map(duration)).toEqual(['2.0 h', '12 ms', '−3 ms', '59 s', '11 h']);
});
