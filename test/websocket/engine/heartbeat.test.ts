import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type HeartbeatMember, Heartbeat } from '../../../src/websocket/engine/heartbeat.js';

const INTERVAL = 25_000;
const TIMEOUT = 20_000;
/** The timer's step. */
const TICK = INTERVAL / 64;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A connection that notes what happens to it, and answers pings after a while if it is to. */
class Pinged implements HeartbeatMember {
  bucket = 0;
  slot = 0;
  pingedTick = 0;
  heardTick = 0;
  readonly pings: number[] = [];
  timedOut: number | undefined;
  readonly #heartbeat: Heartbeat;
  readonly #answerAfter: number | undefined;

  constructor(heartbeat: Heartbeat, answerAfter?: number) {
    this.#heartbeat = heartbeat;
    this.#answerAfter = answerAfter;
    heartbeat.add(this);
  }

  ping(): void {
    this.pings.push(Date.now());
    if (this.#answerAfter === undefined) return;
    setTimeout(() => {
      this.pingedTick = 0;
    }, this.#answerAfter);
  }

  timeOut(): void {
    this.timedOut = Date.now();
    this.#heartbeat.remove(this);
  }
}

function pass(ms: number): void {
  vi.advanceTimersByTime(ms);
}

test('whenever a connection comes, it is pinged first within one interval and then once in each', () => {
  const heartbeat = new Heartbeat(INTERVAL, TIMEOUT);
  const connections = Array.from({ length: 200 }, () => {
    pass(170);
    return { began: Date.now(), pinged: new Pinged(heartbeat, 30) };
  });
  pass(4 * INTERVAL);
  for (const { began, pinged } of connections) {
    const [first = 0, ...others] = pinged.pings;
    expect(first - began).toBeLessThanOrEqual(INTERVAL);
    expect(first - began).toBeGreaterThan(INTERVAL - 2 * TICK);
    let last = first;
    for (const time of others) {
      expect(Math.abs(time - last - INTERVAL)).toBeLessThan(64);
      last = time;
    }
    expect(pinged.pings.length).toBeGreaterThanOrEqual(4);
    expect(pinged.timedOut).toBeUndefined();
  }
});

test.each([1000, TIMEOUT, INTERVAL, 90_000])(
  'one that does not answer for %d ms is given up, after one ping',
  (timeout) => {
    const heartbeat = new Heartbeat(INTERVAL, timeout);
    const silent = new Pinged(heartbeat);
    const answering = new Pinged(heartbeat, timeout - TICK);
    pass(INTERVAL + timeout + 2 * TICK);
    const [pinged = 0] = silent.pings;
    expect(silent.pings).toHaveLength(1);
    expect((silent.timedOut ?? 0) - pinged).toBeGreaterThan(timeout - 64);
    expect((silent.timedOut ?? 0) - pinged).toBeLessThanOrEqual(timeout + 2 * TICK);
    pass(4 * (INTERVAL + timeout));
    expect(answering.timedOut).toBeUndefined();
    expect(silent.pings).toHaveLength(1);
  },
);

test('one that is heard of is waited for once more', () => {
  const heartbeat = new Heartbeat(INTERVAL, TIMEOUT);
  const talking = new Pinged(heartbeat);
  const saved = new Pinged(heartbeat);
  pass(INTERVAL);
  pass(15_000);
  for (const one of [talking, saved]) one.heardTick = heartbeat.nowTick;
  pass(10_000);
  expect(talking.timedOut).toBeUndefined();
  saved.pingedTick = 0;
  pass(10_000 + 2 * TICK);
  expect(talking.timedOut).toBeGreaterThan(INTERVAL + 34_000);
  pass(2 * INTERVAL);
  expect(saved.timedOut).toBeGreaterThan(2 * INTERVAL + TIMEOUT - 4 * TICK);
});

test('those that have left are not pinged, and those that stay are, in any order of leaving', () => {
  const heartbeat = new Heartbeat(INTERVAL, TIMEOUT);
  const all = Array.from({ length: 300 }, (_, i) => {
    if (i % 3 === 0) pass(TICK);
    return new Pinged(heartbeat, 10);
  });
  const leaving = all.filter((_, i) => (i * 7) % 10 < 5);
  const staying = all.filter((one) => !leaving.includes(one));
  const before = new Map(leaving.map((one) => [one, one.pings.length]));
  for (const one of leaving.toReversed()) heartbeat.remove(one);
  expect(new Set(heartbeat.all())).toEqual(new Set(staying));
  pass(INTERVAL + 2 * TICK);
  for (const one of leaving) expect(one.pings).toHaveLength(before.get(one) ?? 0);
  for (const one of staying) expect(one.pings.length).toBeGreaterThan(0);
  heartbeat.stop();
  expect(vi.getTimerCount()).toBe(0);
});
