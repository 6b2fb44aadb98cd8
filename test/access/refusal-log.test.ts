import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { RefusalLog } from '../../src/access/refusal-log.js';

afterEach(() => void vi.useRealTimers());

function open(): { refusals: RefusalLog; lines: () => Record<string, unknown>[] } {
  const written: string[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => void written.push(line) });
  return { refusals: new RefusalLog(log), lines: () => written.map((line) => JSON.parse(line)) };
}

test('the first refusal of each kind is logged with what came, and the others of ten seconds as one number', () => {
  vi.useFakeTimers();
  const { refusals, lines } = open();
  for (let i = 0; i < 1000; i++) refusals.note('origin', { origin: 'https://a.example' });
  refusals.note('origin', { origin: 'https://b.example', address: undefined });
  refusals.note('memory');
  expect(lines()).toEqual([
    { level: 40, msg: 'refused a client', reason: 'origin', origin: 'https://a.example' },
    { level: 40, msg: 'refused a client', reason: 'origin', origin: 'https://b.example' },
    { level: 40, msg: 'refused a client', reason: 'memory' },
  ]);
  vi.advanceTimersByTime(10_000);
  expect(lines().slice(3)).toEqual([
    { level: 40, msg: 'refused more clients', reason: 'origin', leftOut: 999, seconds: 10 },
  ]);
  refusals.note('origin', { origin: 'https://a.example' });
  refusals.close();
  refusals.close();
  expect(lines()).toHaveLength(5);
});

test('a stranger who makes up something else each time gets five lines in ten seconds', () => {
  vi.useFakeTimers();
  const { refusals, lines } = open();
  for (let i = 0; i < 10_000; i++) refusals.note('origin', { origin: `https://${i}.example` });
  expect(lines()).toHaveLength(5);
  refusals.close();
  expect(lines().at(-1)).toMatchObject({ leftOut: 9995 });
});

test('what came is written without control characters and without what reorders a line, and shortened', () => {
  const { refusals, lines } = open();
  refusals.note('origin', { origin: 'https://\u001b[2Jm\u00fcnchen\u202e.example\r\n', port: 80, tls: false });
  refusals.note('origin', { origin: `https://${'\u0000'.repeat(100_000)}` });
  refusals.note('origin', { origin: '😀', reason: 'another one' });
  refusals.close();
  const origins = lines().map(({ origin }) => String(origin));
  expect(origins[0]).toBe(String.raw`https://\u{1b}[2Jm\u{fc}nchen\u{202e}.example\u{d}\u{a}`);
  expect(origins[1]).toHaveLength(201);
  expect(origins[2]).toBe(String.raw`\u{1f600}`);
  expect(lines().map(({ reason }) => reason)).toEqual(['origin', 'origin', 'origin']);
  expect(lines()[0]).toMatchObject({ port: 80, tls: false });
});
