import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatOffset, formatPlace, isHole, offsetSchema, parseOffset, parsePlace } from '../../src/contract/offset.js';
import { newEpoch } from '../../src/journal/epoch.js';

const epoch = fc.stringMatching(/^[\w-]{1,40}$/);
const seq = fc.oneof(fc.nat(), fc.maxSafeInteger().map(Math.abs));

test('every offset is read back as it was written', () => {
  fc.assert(
    fc.property(epoch, seq, (name, number) => {
      const offset = { epoch: name, seq: number };
      expect(parseOffset(formatOffset(offset))).toEqual(offset);
    }),
  );
});

test('the offsets of a new epoch are read back as they were written', () => {
  for (let i = 0; i < 100; i++) {
    const offset = { epoch: newEpoch(), seq: i };
    expect(parseOffset(formatOffset(offset))).toEqual(offset);
  }
});

test('the place of a client is read back with whether the client has chosen topics', () => {
  fc.assert(
    fc.property(epoch, seq, fc.boolean(), (name, number, hasChosen) => {
      const offset = { epoch: name, seq: number };
      const text = formatPlace(offset, hasChosen);
      expect(parsePlace(text)).toEqual({ offset, hasChosen });
      expect(parseOffset(text)).toEqual(offset);
      expect(offsetSchema.safeParse(text).success).toBe(true);
    }),
  );
});

test('whatever is taken for an offset is exactly what that offset is written as', () => {
  const nearly = fc
    .tuple(fc.string({ maxLength: 50 }), fc.constantFrom(':', '', '::', ' :', ': '), fc.string({ maxLength: 20 }))
    .map((parts) => parts.join(''));
  const digits = fc.tuple(epoch, fc.stringMatching(/^[-+ 0-9.e~]{0,20}$/)).map((parts) => parts.join(':'));
  fc.assert(
    fc.property(fc.oneof(nearly, digits, fc.string()), (text) => {
      const place = parsePlace(text);
      expect(place === undefined ? text : formatPlace(place.offset, place.hasChosen)).toBe(text);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['nothing', ''],
  ['no epoch', ':1'],
  ['no number', 'abc:'],
  ['no colon', 'abc1'],
  ['a leading zero', 'abc:01'],
  ['a sign', 'abc:+1'],
  ['a negative number', 'abc:-1'],
  ['a fraction', 'abc:1.5'],
  ['an exponent', 'abc:1e3'],
  ['white space', ' abc:1'],
  ['a line break', 'abc:1\n'],
  ['two marks', 'abc:1~~'],
  ['a mark before the number', 'abc:~1'],
  ['something after the mark', 'abc:1~2'],
  ['a foreign character', 'ab/c:1'],
  ['another alphabet', 'äbc:1'],
  ['digits of another alphabet', 'abc:١'],
  ['a number that a double can not hold', 'abc:9007199254740992'],
  ['a number that is far too long', `abc:${'9'.repeat(40)}`],
  ['an epoch that is too long', `${'a'.repeat(41)}:1`],
])('an offset with %s is refused', (_, text) => {
  expect(parseOffset(text)).toBeUndefined();
});

test('what is not a string is refused', () => {
  fc.assert(
    fc.property(
      fc.anything().filter((value) => typeof value !== 'string'),
      (value) => {
        expect(parseOffset(value)).toBeUndefined();
      },
    ),
  );
  expect(parseOffset(['abc:1'])).toBeUndefined();
  expect(parseOffset({ toString: () => 'abc:1' })).toBeUndefined();
});

test('within an epoch, every number that is left out is a hole', () => {
  const before = { epoch: 'a', seq: 5 };
  expect([6, 7, 100].map((number) => isHole(before, { epoch: 'a', seq: number }))).toEqual([false, true, true]);
});

test('the first entry of an epoch says up to where the old one has to be read; nothing else is no hole', () => {
  const first = { epoch: 'b', seq: 1_764_292_812_345_679, unbrokenFrom: 5 };
  const places = [
    { epoch: 'a', seq: 4 },
    { epoch: 'a', seq: 5 },
    { epoch: 'a', seq: 9 },
    { epoch: 'b', seq: first.seq - 1 },
  ];
  expect(places.map((before) => isHole(before, first))).toEqual([true, false, false, false]);
});

test('an entry of another epoch that says nothing follows only on the number right before it', () => {
  const entry = { epoch: 'b', seq: 10 };
  expect([8, 9].map((number) => isHole({ epoch: 'a', seq: number }, entry))).toEqual([true, false]);
});
