import { expect, test } from 'vitest';
import { signalSchema } from '../../src/contract/events.js';
import { isPlainSignal } from '../../src/contract/plain-signal.js';
import { FUZZ_SEED, Random } from '../support/random.js';
import { signal } from '../support/signals.js';

const ROUNDS = 50_000;
const CHARACTERS = ['a', 'Z', '0', '/', '@', '*', ' ', '-', '.', '\u007F', '\u0000', '\n', 'é', '\uD800', '😀', '٣'];
const INSTANTS =
  '2023-10-27T10:00:00Z|2024-02-29T23:59:59.123Z|2023-02-29T00:00:00Z|0000-01-01T00:00:00Z|2023-13-01T00:00:00Z'
    .split('|')
    .concat('2023-10-27T24:00:00Z', '2023-10-27T10:00:60Z', '2023-10-27T10:00Z', '2023-10-27T10:00:00+00:00', ' ');

function text(random: Random): string {
  return Array.from({ length: random.below(4) }, () => random.pick(CHARACTERS)).join('');
}

/** A text of which a character is another, or is gone, or is there twice. */
function mutated(random: Random, from: string): string {
  const at = random.below(from.length + 1);
  return from.slice(0, at) + text(random) + from.slice(at + random.below(2));
}

function odd(random: Random): unknown {
  const values = [
    () => text(random),
    () => 'x'.repeat(random.below(200)),
    () => mutated(random, random.pick(INSTANTS)),
    () => random.pick(['BUY', 'SELL', 'buy', '*', '']),
    () => random.pick([0, -0, -1, 1e308, Infinity, NaN, 0.1, null, undefined, true, [], {}]),
  ];
  return random.pick(values)();
}

test('a signal as producers send it is plain, and so is one with fields of its own', () => {
  for (const one of [signal(1), signal(0), signal(2, { timestamp: '2023-10-27T10:00:00.123Z', note: { any: [1] } })]) {
    expect(isPlainSignal(one)).toBe(true);
  }
});

test('whatever is taken for a plain signal is a signal by the published schema', () => {
  const random = new Random(FUZZ_SEED);
  const fields = Object.keys(signalSchema.shape);
  const seen = { plain: 0, other: 0 };
  const wrong: unknown[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const value: Record<string, unknown> = { ...signal(i) };
    for (let n = random.below(3); n >= 0; n--) {
      const field = random.pick(fields);
      const now = value[field];
      value[field] = typeof now === 'string' && random.below(2) === 0 ? mutated(random, now) : odd(random);
    }
    const isPlain = isPlainSignal(value);
    if (isPlain && !signalSchema.safeParse(value).success) wrong.push(value);
    seen[isPlain ? 'plain' : 'other']++;
  }
  expect(wrong, `seed ${FUZZ_SEED}`).toEqual([]);
  expect(seen.plain).toBeGreaterThan(ROUNDS / 100);
  expect(seen.other).toBeGreaterThan(ROUNDS / 100);
});

test('anything but an object is not a plain signal', () => {
  for (const value of [undefined, null, 'text', 1, [], [signal(1)]]) expect(isPlainSignal(value)).toBe(false);
});
