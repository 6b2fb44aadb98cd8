import { afterEach, expect, test, vi } from 'vitest';
import { Expiry } from '../../src/access/expiry.js';

afterEach(() => void vi.useRealTimers());

const START = Date.UTC(2026, 0, 1);

function open(): { expiry: Expiry<string>; due: string[] } {
  vi.useFakeTimers({ now: START });
  const due: string[] = [];
  return { expiry: new Expiry<string>((member) => due.push(member)), due };
}

test('everybody is called back when his time has come, and nobody who is gone', () => {
  const { expiry, due } = open();
  expiry.add('late', START + 5000);
  expiry.add('early', START + 1500);
  expiry.add('over already', START - 60_000);
  expiry.add('gone', START + 1500)();
  expiry.add('never', Infinity);
  vi.advanceTimersByTime(3000);
  expect(due).toEqual(['over already', 'early']);
  vi.advanceTimersByTime(3000);
  expect(due).toEqual(['over already', 'early', 'late']);
  expiry.close();
  expiry.close();
});

const YEARS_MS = 50 * 365 * 86_400_000;

test.each([
  ['forward by fifty years', START + YEARS_MS],
  ['back to 1970, where a machine without a battery begins', 0],
  ['back by an hour', START - 3_600_000],
])('a clock that is set %s neither ends nor keeps those who are connected', (_, atMs) => {
  const { expiry, due } = open();
  expiry.add('late', START + 7_200_000);
  expiry.add('early', START + 10_000);
  expiry.add('in a hundred years', START + 2 * YEARS_MS);
  vi.setSystemTime(atMs);
  vi.advanceTimersByTime(9000);
  expect(due).toEqual([]);
  vi.advanceTimersByTime(2000);
  expect(due).toEqual(['early']);
  vi.advanceTimersByTime(7_200_000);
  expect(due).toEqual(['early', 'late']);
  expiry.close();
});

test('after the clock was set back, a client that connects is disconnected when its token expires by the new time', () => {
  const { expiry, due } = open();
  expiry.add('before', START + 10_000);
  vi.setSystemTime(START - 3_600_000);
  vi.advanceTimersByTime(1000);
  expiry.add('after', START - 3_600_000 + 1000 + 5000);
  vi.advanceTimersByTime(6000);
  expect(due).toEqual(['after']);
  vi.advanceTimersByTime(4000);
  expect(due).toEqual(['after', 'before']);
  expiry.close();
});

test('a hundred thousand tokens that end at different times need one timer, and all come in order', () => {
  const { expiry, due } = open();
  const remove = new Map<number, () => void>();
  for (let i = 0; i < 100_000; i++) {
    // Out of order, and many in the same second.
    const second = (i * 7919) % 20_000;
    remove.set(i, expiry.add(`${String(second).padStart(5, '0')} ${i}`, START + second * 1000 + 500));
  }
  expect(vi.getTimerCount()).toBe(1);
  for (let i = 0; i < 100_000; i += 2) remove.get(i)?.();
  vi.advanceTimersByTime(20_001_000);
  expect(due).toHaveLength(50_000);
  const seconds = due.map((member) => Number(member.split(' ')[0]));
  expect(seconds).toEqual(seconds.toSorted((one, other) => one - other));
  expect(vi.getTimerCount()).toBe(0);
});

test('when thousands of tokens end in the same second, the event loop gets its turn between them', () => {
  const { expiry, due } = open();
  for (let i = 0; i < 5000; i++) expiry.add(String(i), START + 1000);
  vi.advanceTimersToNextTimer();
  expect(due.length).toBeGreaterThan(0);
  expect(due.length).toBeLessThan(1000);
  vi.advanceTimersByTime(1000);
  expect(due).toHaveLength(5000);
  expiry.close();
});

test('a connection that comes while others are being ended is ended when its own time comes', () => {
  vi.useFakeTimers({ now: START });
  const due: string[] = [];
  const expiry: Expiry<string> = new Expiry((member) => {
    due.push(member);
    if (member === 'one') {
      expiry.add('over already', START);
      expiry.add('soon', Date.now() + 2000);
    }
  });
  expiry.add('one', START + 1000);
  vi.advanceTimersByTime(2500);
  expect(due).toEqual(['one', 'over already']);
  vi.advanceTimersByTime(1500);
  expect(due).toEqual(['one', 'over already', 'soon']);
  expiry.close();
});
