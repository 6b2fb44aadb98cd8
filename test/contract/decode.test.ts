import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Decoded, decodeBytes, decodeItem } from '../../src/contract/decode.js';
import { FEED_EVENTS } from '../../src/contract/events.js';
import { nested } from '../support/bad-messages.js';
import { signal, status } from '../support/signals.js';

const LIMIT = 1000;

const name = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .string({ unit: 'binary', minLength: 1, maxLength })
    // By characters: a surrogate pair is not cut in two.
    .map((text) =>
      Array.from(text.replaceAll(/[@*\p{Cc}]/gu, '-'))
        .slice(0, maxLength)
        .join(''),
    );

const goodSignal = fc.record({
  type: fc.string({ minLength: 1, maxLength: 20 }),
  signal: fc.constantFrom('BUY', 'SELL'),
  price: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  symbol: name(64),
  timeframe: name(16),
  timestamp: fc
    .date({ min: new Date('1970-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString()),
});

const goodStatus = fc.record({
  service: fc.string({ minLength: 1, maxLength: 20 }),
  status: fc.constantFrom('active', 'degraded', 'offline'),
  message: fc.string({ maxLength: 50 }),
});

const extras = fc.dictionary(
  fc.string({ maxLength: 10 }).map((key) => `x-${key}`),
  fc.jsonValue({ maxDepth: 2 }),
  { maxKeys: 3 },
);

function reasonOf(decoded: Decoded): string {
  return decoded.ok ? 'good' : decoded.reason;
}

describe('decodeBytes', () => {
  test('accepts every signal of the right shape with any extra fields, and passes its text on unchanged', () => {
    fc.assert(
      fc.property(goodSignal, extras, (fields, more) => {
        const json = JSON.stringify({ ...more, ...fields });
        expect(decodeBytes('new_signal', Buffer.from(json), 100_000)).toEqual({
          ok: true,
          message: { event: 'new_signal', json, symbol: fields.symbol, timeframe: fields.timeframe },
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('accepts every status of the right shape with any extra fields, and passes its text on unchanged', () => {
    fc.assert(
      fc.property(goodStatus, extras, (fields, more) => {
        const json = JSON.stringify({ ...more, ...fields }, undefined, 1);
        expect(decodeBytes('status_update', Buffer.from(json), 100_000)).toEqual({
          ok: true,
          message: { event: 'status_update', json, service: fields.service },
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('never throws, whatever the bytes, and calls bytes that are not UTF-8 just that', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FEED_EVENTS), fc.uint8Array({ maxLength: 64 }), (event, bytes) => {
        let valid = true;
        try {
          new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        } catch {
          valid = false;
        }
        expect(reasonOf(decodeBytes(event, bytes, LIMIT)) === 'encoding').toBe(!valid);
      }),
      { numRuns: 5000 },
    );
  });

  test('never takes a JSON value that is not an object, and says so with the reason "shape"', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FEED_EVENTS),
        fc.jsonValue().filter((value) => typeof value !== 'object' || value === null || Array.isArray(value)),
        (event, value) => {
          expect(reasonOf(decodeBytes(event, Buffer.from(JSON.stringify(value)), 100_000))).toBe('shape');
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('refuses a signal that has lost any of its fields, and names the field', () => {
    fc.assert(
      fc.property(goodSignal, fc.constantFrom(...Object.keys(signal(1))), (fields, gone) => {
        const rest = Object.fromEntries(Object.entries(fields).filter(([key]) => key !== gone));
        const decoded = decodeBytes('new_signal', Buffer.from(JSON.stringify(rest)), 100_000);
        expect(decoded).toMatchObject({ ok: false, reason: 'shape', detail: expect.stringContaining(`"${gone}"`) });
      }),
    );
  });

  test.each(FEED_EVENTS)('counts bytes and not characters: %s at the limit is taken, one byte more is not', (event) => {
    const base = event === 'new_signal' ? signal(1) : status();
    const left = LIMIT - Buffer.byteLength(JSON.stringify({ ...base, note: '' }));
    const full = `${'é'.repeat(Math.floor(left / 2))}${'-'.repeat(left % 2)}`;
    const atLimit = Buffer.from(JSON.stringify({ ...base, note: full }));
    const over = Buffer.from(JSON.stringify({ ...base, note: `${full}-` }));
    expect(atLimit.byteLength).toBe(LIMIT);
    expect(over.toString().length).toBeLessThan(LIMIT);
    expect(reasonOf(decodeBytes(event, atLimit, LIMIT))).toBe('good');
    expect(decodeBytes(event, over, LIMIT)).toEqual({
      ok: false,
      reason: 'too_large',
      detail: `the message has ${LIMIT + 1} bytes; at most ${LIMIT} are taken`,
    });
  });

  test('looks at the size before anything else', () => {
    expect(reasonOf(decodeBytes('new_signal', Buffer.alloc(LIMIT + 1, 0xff), LIMIT))).toBe('too_large');
    expect(reasonOf(decodeBytes('new_signal', Buffer.alloc(LIMIT, 0xff), LIMIT))).toBe('encoding');
  });

  test('reads only its own part of a larger buffer', () => {
    const json = JSON.stringify(signal(1));
    const all = Buffer.from(`garbage${json}garbage`);
    const part = new Uint8Array(all.buffer, all.byteOffset + 7, json.length);
    expect(decodeBytes('new_signal', part, LIMIT)).toMatchObject({ ok: true, message: { json } });
  });
});

/** What is told of a signal with other fields. */
function told(fields: Readonly<Record<string, unknown>>): unknown {
  const decoded = decodeItem('new_signal', JSON.stringify({ ...signal(1), ...fields }), Infinity);
  return !decoded.ok && decoded.detail;
}

describe('the error for a message of the wrong shape', () => {
  test.each([
    [{ signal: 'HOLD' }, 'field "signal" must be "BUY" or "SELL"; got "HOLD"'],
    [{ price: '1' }, 'field "price" must be a finite number; got "1"'],
    [{ price: -1 }, 'field "price" must be 0 or more; got -1'],
    [{ price: null }, 'field "price" must be a finite number; got null'],
    [{ type: undefined }, 'field "type" is missing'],
    [{ type: ['A'] }, 'field "type" must be a text; got an array'],
    [{ symbol: '' }, 'field "symbol" must be a text that is not empty; got ""'],
    [{ symbol: 'A@B' }, 'field "symbol" must be a text without "@" and control characters, and not "*"; got "A@B"'],
    [
      { timeframe: 'x'.repeat(50) },
      `field "timeframe" must be a text of at most 16 characters; got "${'x'.repeat(40)}"…`,
    ],
    [
      { timestamp: '2023-10-27T10:00:00+02:00' },
      'field "timestamp" must be an ISO 8601 instant in UTC, such as 2023-10-27T10:00:00Z; got "2023-10-27T10:00:00+02:00"',
    ],
  ])('%j: the field, what it takes and what it got', (fields, detail) => {
    expect(told(fields)).toBe(detail);
  });

  test('that is not an object names what it is', () => {
    expect(decodeItem('status_update', '[1]', Infinity)).toMatchObject({
      detail: 'the message must be a JSON object; got an array',
    });
  });

  test('with a number that a double does not hold says so', () => {
    const json = JSON.stringify(signal(1)).replace('"price":1', '"price":1e999');
    expect(decodeItem('new_signal', json, Infinity)).toMatchObject({
      detail: expect.stringContaining('Infinity') as string,
    });
  });
});

/** Why a signal is refused, if it is. */
function refusal(text: string): unknown {
  const decoded = decodeItem('new_signal', text, Infinity);
  return decoded.ok ? 'good' : [decoded.reason, decoded.detail];
}

describe('a message that other readers would read in another way', () => {
  const json = JSON.stringify(signal(1));

  test('names the field that appears twice, and what to do', () => {
    expect(refusal(json.replace('{', String.raw`{"s\u0079mbol":"ETH/USDT",`))).toEqual([
      'duplicate_field',
      'field "symbol" appears twice, and parsers differ in which one they use. Send it once',
    ]);
  });

  test('names the field with an unpaired surrogate, and shows the surrogate', () => {
    expect(refusal(json.replace('BTC/USDT', String.raw`BTC\ud83d`))).toEqual([
      'lone_surrogate',
      String.raw`field "symbol" has an unpaired surrogate; got "BTC\ud83d". Send whole characters`,
    ]);
  });

  test('names the field that nests too deep, and how deep it may', () => {
    expect(refusal(nested(signal(1), 64, ['[', ']']))).toEqual([
      'too_deep',
      'field "deep" nests too deep: a message may have 63 levels of objects and arrays, itself included (clients get it ' +
        'inside an array, and many can read 64). Flatten it',
    ]);
    expect(refusal(nested(signal(1), 63, ['[', ']']))).toBe('good');
  });

  test('a long name of a field that nests too deep is shown in part', () => {
    const [, detail] = refusal(nested(signal(1), 64, ['[', ']']).replace('deep', 'x'.repeat(5000))) as string[];
    expect(detail).toContain(`field "${'x'.repeat(40)}"…`);
  });

  test('fields that are not checked may appear twice, and contain anything but too deep a nesting', () => {
    for (const extra of [
      '"a":1,"a":2',
      '"Symbol":1',
      String.raw`"a":"\ud83d"`,
      '"service":1,"service":2',
      '"a":1e400',
    ]) {
      expect([extra, refusal(json.replace('{', `{${extra},`))]).toEqual([extra, 'good']);
    }
  });

  test('a text other than a name may have an unpaired surrogate, which passes as the escape that it is', () => {
    expect(refusal(json.replace('QUANTUM_CIPHER', String.raw`\ud83d`))).toBe('good');
    const half = JSON.stringify(status('active', { message: '\ud83d' }));
    expect(decodeItem('status_update', half, Infinity).ok).toBe(true);
  });

  test('whole pairs, U+FFFD and marks of direction may be in names', () => {
    for (const symbol of ['📈', '\ufffd', '\u202eTSU', '\u200b', '\uffff', '\u{10ffff}']) {
      const escapes = Array.from(
        { length: symbol.length },
        (_, i) => `\\u${symbol.charCodeAt(i).toString(16).padStart(4, '0')}`,
      );
      for (const spelling of [symbol, escapes.join('')]) {
        expect([spelling, refusal(json.replace('BTC/USDT', spelling))]).toEqual([spelling, 'good']);
      }
    }
  });
});

describe('decodeItem', () => {
  test('judges a text as decodeBytes judges its bytes', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      goodSignal.map((value) => JSON.stringify(value)),
      goodStatus.map((value) => JSON.stringify(value)),
      fc.nat(LIMIT * 2).map((length) => JSON.stringify(signal(1, { note: 'é'.repeat(length) }))),
    );
    fc.assert(
      fc.property(fc.constantFrom(...FEED_EVENTS), texts, (event, text) => {
        expect(decodeItem(event, text, LIMIT)).toEqual(decodeBytes(event, Buffer.from(text), LIMIT));
      }),
      { numRuns: 2000 },
    );
  });
});
