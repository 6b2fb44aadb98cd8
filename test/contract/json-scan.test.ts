import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanObject } from '../../src/contract/json-scan.js';

const ONCE = ['type', 'symbol', 'price'];

/** What a reader that takes its time finds in a JSON text: the names of its top level in order, and how deep it nests. */
class NaiveReader {
  readonly names: string[] = [];
  depth = 0;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#value(0);
  }

  #space(): void {
    while (/^[ \t\r\n]/.test(this.#text.slice(this.#at, this.#at + 1))) this.#at++;
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #string(): string {
    this.#space();
    const [raw = ''] = /^"(?:[^"\\]|\\.)*"/s.exec(this.#text.slice(this.#at)) ?? [];
    this.#at += raw.length;
    return JSON.parse(raw) as string;
  }

  #value(depth: number): void {
    this.#space();
    const first = this.#text[this.#at];
    if (first === '"') this.#string();
    else if (first === '{' || first === '[') this.#members(first === '{', depth + 1);
    else this.#at += /^[^,\]}\s]+/.exec(this.#text.slice(this.#at))?.[0].length ?? 0;
  }

  #members(isObject: boolean, depth: number): void {
    this.depth = Math.max(this.depth, depth);
    this.#at++;
    if (this.#take(isObject ? '}' : ']')) return;
    do {
      if (isObject) {
        const name = this.#string();
        if (depth === 1) this.names.push(name);
        this.#take(':');
      }
      this.#value(depth);
    } while (this.#take(','));
    this.#take(isObject ? '}' : ']');
  }
}

/** What the naive reader would say of a text. */
function expected(text: string, maxDepth: number): readonly string[] {
  const { names, depth } = new NaiveReader(text);
  const twice = ONCE.filter((name) => names.indexOf(name) !== names.lastIndexOf(name));
  return [...(depth > maxDepth ? ['depth'] : []), ...(twice.length > 0 ? ['duplicate'] : [])];
}

function scan(text: string, maxDepth = 64): ReturnType<typeof scanObject> {
  return scanObject(text, JSON.parse(text) as object, { once: ONCE, maxDepth });
}

/** A string in JSON, any of its characters spelled as an escape. */
function spelled(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(text, fc.oneof(fc.constant(0), fc.nat())).map(([value, mask]) => {
    const units = Array.from({ length: value.length }, (_, i) => value.charCodeAt(i));
    const parts = units.map((unit, i) =>
      ((mask >> (i % 31)) & 1) === 1
        ? `\\u${unit.toString(16).padStart(4, '0')}`
        : JSON.stringify(String.fromCharCode(unit)).slice(1, -1),
    );
    return `"${parts.join('')}"`;
  });
}

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });
const tricky = fc.string({
  unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', 'type', 'é', '\ud800', '📈', '\u2028'),
  maxLength: 40,
});
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...ONCE, 'Type', 'types', '__proto__', 'constructor', 'toString', '', '0') },
  { weight: 1, arbitrary: tricky },
);
const scalar = fc.oneof(spelled(tricky), fc.constantFrom('1', '-0', '1e999', '1.50E+3', 'true', 'null', '{}', '[]'));

/** A list of texts between brackets, with white space wherever it may be. */
function enclosed(item: fc.Arbitrary<string>, [open, close]: readonly [string, string]): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.array(
        fc.tuple(space, item, space).map((parts) => parts.join('')),
        { maxLength: 6, size: 'max' },
      ),
      space,
    )
    .map(([items, inside]) => `${open}${items.length === 0 ? inside : items.join(',')}${close}`);
}

function member(value: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(spelled(name), space, space, value)
    .map(([key, before, after, of]) => `${key}${before}:${after}${of}`);
}

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    scalar,
    enclosed(tie('value'), ['[', ']']),
    enclosed(member(tie('value')), ['{', '}']),
  ),
}));

/** Most of them nest a few levels, so the limit of the test is that low too. */
const object = enclosed(member(value), ['{', '}']);

describe('a JSON object', () => {
  test('is found faulty exactly where a slow, careful reader finds it faulty, however it is spelled', () => {
    const counts: Record<string, number> = {};
    fc.assert(
      fc.property(fc.tuple(space, object, space), fc.constantFrom(1, 2, 4, 64, 64, 64), (parts, maxDepth) => {
        const text = parts.join('');
        const faults = expected(text, maxDepth);
        const found = scan(text, maxDepth);
        expect(found === undefined ? faults.length === 0 : faults.includes(found.kind)).toBe(true);
        const kind = found?.kind ?? 'none';
        counts[kind] = (counts[kind] ?? 0) + 1;
      }),
      { numRuns: 3000 },
    );
    // A test in which nearly all have a fault, or none has, shows little.
    expect(Math.min(counts['none'] ?? 0, counts['depth'] ?? 0, counts['duplicate'] ?? 0)).toBeGreaterThan(50);
  });

  test('that was serialised has no fault, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
        fc.constantFrom('', ' '),
        (all, indent) => {
          expect(scan(JSON.stringify({ ...all, type: 'x' }, undefined, indent))).toBeUndefined();
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe.each([
  ['plainly', '{"type":1,"type":2}'],
  ['with the same value', '{"type":1,"type":1}'],
  ['with an escape the first time', String.raw`{"\u0074ype":1,"type":2}`],
  ['with an escape the second time', String.raw`{"type":1,"typ\u0065":2}`],
  ['with escapes in capitals and small letters', String.raw`{"t\u0079\u0070e":1,"\u0074\u0079pe":2}`],
  ['far apart', `{"type":1,"x":{"a":[1,{"b":"}]"}]},"y":"${'\\"'.repeat(50)}","type":2}`],
  ['behind a long string that ends in backslashes', String.raw`{"type":"${'x'.repeat(60)}\\\\","type":2}`],
  ['with white space', '\n{ "type" :\t1 , "type"\r\n: 2 }'],
  ['three times', '{"type":1,"type":2,"type":3}'],
  ['beside a name of the prototype', '{"__proto__":{"type":1},"type":1,"__proto__":null,"type":2}'],
])('a field that appears twice', (how, text) => {
  test(`is found when it does so ${how}`, () => {
    expect(scan(text)).toEqual({ kind: 'duplicate', field: 'type' });
  });
});

test.each([
  ['an unchecked name twice', '{"type":1,"x":1,"x":2}'],
  ['a name in other letters', '{"type":1,"Type":2,"TYPE":3}'],
  ['a name inside a nested object', '{"type":1,"x":{"type":2,"type":3},"y":[{"type":4,"type":5}]}'],
  ['a name as a value', '{"type":"type","x":"type","y":["type","type"]}'],
  ['a name inside a string', String.raw`{"type":1,"x":"\",\"type\":2","y":"{\"type\":1,\"type\":2}"}`],
  ['a name that is longer', '{"type":1,"type ":2," type":3,"types":4,"typ":5}'],
  ['a name with a backslash before', String.raw`{"type":1,"\\type":2,"type\\":3}`],
  ['names of the prototype', '{"type":1,"__proto__":{"type":1},"__proto__":2,"constructor":3,"constructor":4}'],
  ['nothing', '{}'],
])('%s is no fault', (_, text) => {
  expect(scan(text)).toBeUndefined();
});

describe('nesting', () => {
  test.each([
    ['arrays', 1, '[', ']'],
    ['objects', 1, '{"a":', '}'],
    ['arrays of objects', 2, '[{"a":', '}]'],
  ])('of %s may be as deep as the limit, and not one level deeper', (_, levels, open, close) => {
    const text = (inside: number): string => `{"x":1,"meta":${open.repeat(inside)}1${close.repeat(inside)},"y":[]}`;
    const fits = Math.floor(63 / levels);
    expect(scan(text(fits))).toBeUndefined();
    expect(scan(text(fits), 1 + fits * levels)).toBeUndefined();
    expect(scan(text(fits), fits * levels)).toEqual({ kind: 'depth', field: 'meta' });
  });

  test('is counted by levels and not by brackets', () => {
    expect(scan(`{"a":[${'[],{},'.repeat(500)}0],"b":"${'[{'.repeat(500)}"}`, 3)).toBeUndefined();
  });

  test('of 100,000 levels is found without running out of stack', () => {
    const text = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(scan(text, 1_000_000)).toBeUndefined();
    expect(scan(text)).toEqual({ kind: 'depth', field: 'a' });
  });
});
