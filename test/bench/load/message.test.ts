import { expect, test } from 'vitest';
import {
  isSignal,
  nowMicros,
  signalDue,
  signalNumber,
  signalText,
  signalTexts,
  symbolName,
  symbolsOf,
} from '../../../bench/load/message.js';
import { signalSchema } from '../../../src/contract/events.js';

function packet(json: string): Buffer {
  return Buffer.from(`xx42["new_signal",${json},"epoch:17"]`);
}

test('a text is a valid signal of exactly the bytes that were asked for', () => {
  for (const bytes of [200, 250, 1000, 16_000]) {
    const text = signalTexts(bytes)(7, nowMicros());
    expect(Buffer.byteLength(text)).toBe(bytes);
    expect(signalSchema.safeParse(JSON.parse(text)).success).toBe(true);
  }
  expect(signalSchema.safeParse(JSON.parse(signalText(0, 0))).success).toBe(true);
});

test('a payload that a signal does not fit into is an error that says what does', () => {
  const least = Buffer.byteLength(signalText(0, 0));
  expect(() => signalTexts(least - 1)).toThrow(`A signal takes ${least} bytes`);
  expect(signalTexts(least)(0, 0)).toBe(signalText(0, 0));
});

test('signals go round the symbols', () => {
  const text = signalTexts(0, 3);
  const symbols = [0, 1, 2, 3].map((n) => (JSON.parse(text(n, 0)) as { symbol: string }).symbol);
  expect(symbols).toEqual(['S000/USDT', 'S001/USDT', 'S002/USDT', 'S000/USDT']);
  expect(symbolName(0, 1)).toBe('BTC/USDT');
});

test('number and time are read from where a packet lies', () => {
  const due = nowMicros();
  const bytes = packet(signalTexts(300)(123_456, due));
  expect(isSignal(bytes, 2, bytes.length - 2)).toBe(true);
  expect(signalNumber(bytes, 2)).toBe(123_456);
  expect(signalDue(bytes, 2)).toBe(due);
});

test('no other packet is taken for a signal', () => {
  const others = [
    `42["welcome",{"message":"${'x'.repeat(80)}"},"e:1"]`,
    `42["status_update",{"service":"${'x'.repeat(80)}","status":"active","message":""},"e:1"]`,
    `42["checkpoint","${'x'.repeat(80)}"]`,
    `40{"sid":"${'n'.repeat(90)}"}`,
    `0{"sid":"${'n'.repeat(90)}"}`,
    '2',
  ];
  for (const other of others) expect([other, isSignal(Buffer.from(other), 0, other.length)]).toEqual([other, false]);
});

test('the clock is the same in every process and does not go back', () => {
  const before = Number(process.hrtime.bigint() / 1000n);
  let last = nowMicros();
  const after = Number(process.hrtime.bigint() / 1000n);
  expect(last).toBeGreaterThanOrEqual(before - 5);
  expect(last).toBeLessThanOrEqual(after + 5);
  for (let i = 0; i < 10_000; i++) {
    const now = nowMicros();
    expect(now).toBeGreaterThanOrEqual(last);
    last = now;
  }
});

test('every client wants a set of its own, the same each time, and all symbols are wanted about as much', () => {
  const topics = { symbols: 500, perClient: 20 };
  const sets = Array.from({ length: 2000 }, (_, client) => symbolsOf(client, topics));
  expect(symbolsOf(17, topics)).toEqual(sets[17]);
  for (const set of sets) {
    expect(new Set(set).size).toBe(20);
    expect(set).toEqual(set.toSorted((a, b) => a - b));
  }
  expect(new Set(sets.map(String)).size).toBe(2000);
  const wanted = Array.from({ length: 500 }, () => 0);
  for (const symbol of sets.flat()) wanted[symbol] = (wanted[symbol] ?? 0) + 1;
  // 80 each on average.
  expect(Math.min(...wanted)).toBeGreaterThan(40);
  expect(Math.max(...wanted)).toBeLessThan(130);
});
