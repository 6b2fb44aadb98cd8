import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { faultFor } from '../../src/redis/fault.js';
import { type RedisChange, RedisState } from '../../src/redis/redis-state.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const GONE = faultFor('unreachable', 'connect ECONNREFUSED');
const FULL = faultFor('out_of_memory', 'OOM command not allowed');

interface Line {
  readonly level: number;
  readonly cause: string;
  readonly msg: string;
}

/** A state that is up, with what its listeners were called with and what was logged. */
function started(): { state: RedisState; changes: RedisChange[]; ups: boolean[]; lines: Line[] } {
  const lines: Line[] = [];
  const log = pino({ level: 'info' }, { write: (text: string) => lines.push(JSON.parse(text) as Line) });
  const state = new RedisState({ aspects: ['read', 'heard', 'append'], log, nowMs: () => Date.now() });
  const changes: RedisChange[] = [];
  const ups: boolean[] = [];
  state.onChange((change) => {
    changes.push(change);
    if (ups.at(-1) !== change.up) ups.push(change.up);
  });
  for (const aspect of ['read', 'heard', 'append'] as const) state.back(aspect);
  return { state, changes, ups, lines };
}

test('all is well once every aspect was up, and nothing is logged of a start that goes well', () => {
  const { state, ups, lines } = started();
  expect([state.up, state.faults, ups, lines]).toEqual([true, [], [false, true], []]);
});

test('one cause that takes several aspects away is logged once, and again after a minute', () => {
  const { state, lines } = started();
  for (const aspect of ['read', 'heard', 'append'] as const) state.lost(aspect, GONE);
  expect(state.faults.map(({ aspect, fault }) => [aspect, fault.code])).toEqual([
    ['read', 'unreachable'],
    ['heard', 'unreachable'],
    ['append', 'unreachable'],
  ]);
  vi.advanceTimersByTime(59_000);
  for (let i = 0; i < 10; i++) state.lost('read', GONE);
  expect(lines.map(({ level, cause }) => [level, cause])).toEqual([[40, 'unreachable']]);
  vi.advanceTimersByTime(20_000);
  expect(lines).toHaveLength(2);
  for (const aspect of ['read', 'heard', 'append'] as const) state.back(aspect);
  vi.advanceTimersByTime(200);
  expect(lines.map(({ level }) => level)).toEqual([40, 40, 30]);
});

test('another cause is logged when it comes, and is what is told from then on', () => {
  const { state, lines } = started();
  state.lost('append', GONE);
  state.lost('append', FULL);
  expect(lines.map(({ cause }) => cause)).toEqual(['unreachable', 'out_of_memory']);
  expect(state.faults.map(({ fault }) => fault.code)).toEqual(['out_of_memory']);
});

test('a connection that is back must stay for a moment, and what was refused must work for a second', () => {
  const { state, ups } = started();
  state.lost('read', GONE);
  state.back('read');
  expect(state.up).toBe(false);
  vi.advanceTimersByTime(200);
  expect(state.up).toBe(true);
  vi.advanceTimersByTime(60_000);
  state.lost('append', FULL);
  state.back('append');
  expect([state.up, state.has('append'), state.faults.map(({ fault }) => fault.code)]).toEqual([
    false,
    true,
    ['out_of_memory'],
  ]);
  vi.advanceTimersByTime(1000);
  expect([state.up, state.faults]).toEqual([true, []]);
  expect(ups).toEqual([false, true, false, true, false, true]);
});

test('a Redis that works every other second makes a handful of changes, and is all well once it stays so', () => {
  const { state, ups } = started();
  for (let second = 0; second < 120; second += 2) {
    state.lost('append', GONE);
    vi.advanceTimersByTime(1000);
    state.back('append');
    vi.advanceTimersByTime(1000);
  }
  expect(ups.length).toBeLessThanOrEqual(6);
  vi.advanceTimersByTime(15_000);
  expect(state.up).toBe(true);
});

test('a listener that causes the next change gets it after this one', () => {
  const { state } = started();
  const order: string[] = [];
  state.onChange(({ aspect }) => {
    order.push(`begin ${aspect}`);
    if (aspect === 'read') state.lost('heard', GONE);
    order.push(`end ${aspect}`);
  });
  state.lost('read', GONE);
  expect(order).toEqual(['begin read', 'end read', 'begin heard', 'end heard']);
});

test('a state that was stopped calls nobody', () => {
  const { state, changes } = started();
  state.stop();
  const before = changes.length;
  state.lost('read', GONE);
  expect([changes.length, state.up]).toEqual([before, true]);
});
