import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonArrayItems, splitJsonArray } from '../../src/contract/json-array.js';

/** White space as JSON knows it. */
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });

/** The text of one JSON value, indented or not, with whatever brackets, commas, quotes and escapes strings may hold. */
const itemText = fc.oneof(
  fc.json({ maxDepth: 4, stringUnit: 'binary' }),
  fc.jsonValue().map((value) => JSON.stringify(value, undefined, '\t')),
  fc
    .string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', ':', 'é', '\u2028', '\ud83d', 'n') })
    .map((text) => JSON.stringify(text)),
  fc.bigInt().map(String),
  fc.constantFrom('1e999', '-0', '1.50', '"\\u00e9\\/\\ud800"', '{"a":1,"a":2}', '[]', '[[],[[]]]', '{}', '""'),
);

test('an array made of any texts with any white space between them comes apart into exactly those texts', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(space, itemText, space)), space, (items, edge) => {
      const array = `[${items.map((parts) => parts.join('')).join(',')}]`;
      const text = items.length === 0 ? `[${edge}]` : array;
      expect(splitJsonArray(text)).toEqual(items.map(([, item]) => item));
    }),
    { numRuns: 2000 },
  );
});

test('parsing every piece gives what parsing the whole array gives', () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue({ maxDepth: 5 })),
      fc.constantFrom('', ' ', '\t', '\n  '),
      space,
      (values, indent, edge) => {
        const text = edge + JSON.stringify(values, undefined, indent) + edge;
        const whole = JSON.parse(text) as unknown;
        expect(splitJsonArray(text).map((piece) => JSON.parse(piece) as unknown)).toEqual(whole);
      },
    ),
    { numRuns: 2000 },
  );
});

test.each([
  ['no items', '[]', []],
  ['no items and white space', ' [ \r\n\t] ', []],
  ['one item', '[1]', ['1']],
  ['white space around items', '[ 1 ,\n2\t, 3 ]', ['1', '2', '3']],
  ['brackets and commas in strings', '["],[","{,}"]', ['"],["', '"{,}"']],
  ['an escaped quote', String.raw`["a\"],\"",1]`, [String.raw`"a\"],\""`, '1']],
  ['an escaped backslash before the end of a string', String.raw`["a\\",1]`, [String.raw`"a\\"`, '1']],
  ['nested arrays and objects', '[[1,[2]],{"a":[3,{"b":4}]}]', ['[1,[2]]', '{"a":[3,{"b":4}]}']],
  ['a key that looks like an end', '[{"]":1},2]', ['{"]":1}', '2']],
  ['empty strings', '["","" ]', ['""', '""']],
  [
    'numbers that a double can not hold',
    '[12345678901234567890, 0.10000000000000000001]',
    ['12345678901234567890', '0.10000000000000000001'],
  ],
])('%s: the pieces are the texts as sent', (_, text, pieces) => {
  expect(splitJsonArray(text)).toEqual(pieces);
});

test('an array 5,000 levels deep comes apart without running out of stack', () => {
  const deep = '['.repeat(5000) + ']'.repeat(5000);
  expect(splitJsonArray(`[${deep},1]`)).toEqual([deep, '1']);
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What comes out of an array that is read item by item; `undefined` where that finds it to be none. */
function readItems(text: string): string[] | undefined {
  const items = new JsonArrayItems(Buffer.from(text));
  const texts: string[] = [];
  for (let item = items.next(); item !== undefined; item = items.next()) texts.push(item);
  return items.isWhole ? texts : undefined;
}

test('an array that is read item by item has the same items as one that is cut at once', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(space, itemText, space)), space, (items, edge) => {
      const inside = items.length === 0 ? edge : items.map((parts) => parts.join('')).join(',');
      expect(readItems(`${edge}[${inside}]${edge}`)).toEqual(items.map(([, item]) => item));
    }),
    { numRuns: 2000 },
  );
});

test('a text that is read item by item is an array of JSON exactly when it is one as a whole', () => {
  const piece = fc.constantFrom('[', ']', '{', '}', ',', '"', '\\', ':', '1', 'a', ' ', '\n', '\u00a0', 'null', '"x"');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, isInBrackets) => {
      const text = isInBrackets ? `[${pieces.join('')}]` : pieces.join('');
      const isArray = parses(text) && Array.isArray(JSON.parse(text));
      expect(readItems(text)?.every(parses) ?? false).toBe(isArray);
    }),
    { numRuns: 20_000 },
  );
});
