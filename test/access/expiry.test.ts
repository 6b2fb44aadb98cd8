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

test('a clock that is set forward by fifty years lets those go whose time is over by it, in order, and does not hold up the loop', () => {
  const { expiry, due } = open();
  expiry.add('third', START + 7_200_000);
  expiry.add('second', START + 3_600_000);
  expiry.add('in a hundred years', START + 100 * 365 * 86_400_000);
  vi.setSystemTime(START + 50 * 365 * 86_400_000);
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['second', 'third']);
  // From 1970, where a machine without a battery begins.
  vi.setSystemTime(0);
  vi.advanceTimersByTime(1000);
  vi.setSystemTime(START);
  vi.advanceTimersByTime(1000);
  expect(due).toHaveLength(2);
});

test('after the clock was set back, a client that connects is disconnected when its token expires by the new time', () => {
  const { expiry, due } = open();
  expiry.add('before', START + 10_000);
  vi.setSystemTime(START - 3_600_000);
  vi.advanceTimersByTime(1000);
  expiry.add('after', START - 3_600_000 + 5000);
  vi.advanceTimersByTime(6000);
  expect(due).toEqual(['after']);
  vi.setSystemTime(START + 20_000);
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['after', 'before']);
});
