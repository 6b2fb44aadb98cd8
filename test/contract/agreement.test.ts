import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openapiDocument } from '../../src/admin/openapi.js';
import { asyncapiDocument } from '../../src/contract/asyncapi.js';
import {
  type SubscribeAnswer,
  MAX_MESSAGE_DEPTH,
  MAX_SYMBOL_LENGTH,
  MAX_TIMEFRAME_LENGTH,
} from '../../src/contract/events.js';
import { documentText } from '../../src/contract/json-schema.js';
import { version } from '../../src/version.js';
import { nested } from '../support/bad-messages.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { DocumentSchemas, type Tree } from './document-schemas.js';

const OPENAPI = new DocumentSchemas(JSON.parse(documentText(openapiDocument(version()))) as Tree, { draft: 2020 });
const ASYNCAPI = new DocumentSchemas(JSON.parse(documentText(asyncapiDocument(version()))) as Tree, { draft: 7 });

const cleanup = new Cleanup();
let pod: Pod;
beforeAll(async () => {
  pod = await Pod.start(cleanup, { MAX_MESSAGES_PER_SECOND: '0', MAX_BYTES_PER_SECOND: '0' });
});
afterAll(() => cleanup.run());

const RUNS = { numRuns: 300 };
/** A test in which nearly all is taken, or refused, shows little. */
const OFTEN = RUNS.numRuns / 15;

/** Characters of a text that may have an unpaired surrogate in it. */
const halves = fc.constantFrom('a', 'é', '📈', '\ud83d', '\udcc8');

const name = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .string({ minLength: 1, maxLength, unit: 'binary' })
    // Half of them good ones.
    .chain((text) => fc.constantFrom(text, text.replaceAll(/[@\p{Cc}]|^\*$/gu, '-')));

const timestamp = fc
  .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .chain((date) =>
    fc.constantFrom(
      ...['Z', '+00:00', '000Z', ''].map((end) => date.toISOString().replace('Z', end)),
      date.toISOString().replace(/\.\d+/, ''),
    ),
  );

/** Texts that are nearly what one of the fields takes. */
const NEARLY = [
  '2023-02-29T00:00:00Z',
  '2024-02-29T00:00:00Z',
  '2023-10-27 10:00:00Z',
  '2023-10-27T10:00Z',
  '2023-10-27T10:00:00',
  '2023-10-27T10:00:00+02:00',
  '2023-10-27T10:00:00-00:00',
  '2023-10-27T24:00:00Z',
  '2023-10-27T10:00:60Z',
  '2023-10-27t10:00:00z',
  '12023-10-27T10:00:00Z',
  '2023-10-27T10:00:00.Z',
  '2023-10-27T10:00:00Z\n',
  '2023-10-27',
  '*',
  '**',
  '@',
  'a@b',
  'a\u0000',
  'a\u007f',
  'a\u2028',
  '\ud800',
  'x\udfff',
  '\ud83d\udcc8',
  '\udcc8\ud83d',
  'x'.repeat(16),
  'x'.repeat(17),
  '',
  ' ',
  'x'.repeat(64),
  'x'.repeat(65),
  '😀'.repeat(16),
  '😀'.repeat(17),
  '😀'.repeat(64),
  '😀'.repeat(65),
  'buy',
  'BUY',
  'SELL',
  'active',
  'Active',
  'null',
];

const anything = fc.oneof(
  fc.constantFrom<unknown>(...NEARLY, 0, -1, 1e308, -1e-300, 0.1, null, true, [], {}, [1], '1'),
  fc.jsonValue(),
);

/** An object with the fields, and maybe more; and in most cases one of its fields replaced or left out. */
function nearly(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  const names = Object.keys(fields);
  const more = fc.dictionary(
    fc.string().filter((key) => !names.includes(key)),
    fc.jsonValue(),
    { maxKeys: 3 },
  );
  const whole = fc.tuple(more, fc.record(fields)).map(([extra, own]) => ({ ...extra, ...own }));
  const replaced = fc
    .tuple(whole, fc.constantFrom(...names), anything)
    .map(([all, field, value]) => ({ ...all, [field]: value }));
  const without = fc
    .tuple(whole, fc.constantFrom(...names))
    .map(([all, field]) => Object.fromEntries(Object.entries(all).filter(([key]) => key !== field)));
  return fc.oneof(
    { weight: 3, arbitrary: whole },
    { weight: 6, arbitrary: replaced },
    { weight: 1, arbitrary: without },
    { weight: 1, arbitrary: anything },
  );
}

const SIGNAL = nearly({
  type: fc.string({ minLength: 1 }),
  signal: fc.constantFrom('BUY', 'SELL'),
  price: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  symbol: name(MAX_SYMBOL_LENGTH),
  timeframe: name(MAX_TIMEFRAME_LENGTH),
  timestamp,
});

const STATUS = nearly({
  service: fc.string({ minLength: 1 }),
  status: fc.constantFrom('active', 'degraded', 'offline'),
  message: fc.string(),
});

/** One, or up to three at once. */
function batch(one: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 3, arbitrary: one }, { weight: 1, arbitrary: fc.array(one, { maxLength: 3 }) });
}

/**
 * Puts values to the document and to the gateway, which have to say the same of each.
 *
 * @returns how many were taken, or refused, whichever is less
 */
async function agree(
  values: fc.Arbitrary<unknown>,
  byDocument: (value: unknown) => string | undefined,
  byGateway: (value: unknown) => Promise<Verdict>,
): Promise<number> {
  const counts = { taken: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(values, async (value) => {
      const fault = byDocument(value);
      const { taken, said } = await byGateway(value);
      expect({ taken, said, fault }).toEqual({ taken: fault === undefined, said, fault });
      counts[taken ? 'taken' : 'refused']++;
    }),
    RUNS,
  );
  return Math.min(counts.taken, counts.refused);
}

/** What the gateway makes of a value. */
interface Verdict {
  readonly taken: boolean;
  readonly said: string;
}

/** @param refusal - the only status that says that the value is not what it should be */
async function verdict(answer: Response, refusal: number, taken: readonly number[]): Promise<Verdict> {
  const said = `${answer.status} ${await answer.text()}`;
  if (answer.status !== refusal && !taken.includes(answer.status)) throw new Error(`unexpected answer ${said}`);
  return { taken: answer.status !== refusal, said };
}

function bodyOf(path: string): string {
  return `#/paths/${path.replaceAll('/', '~1')}/post/requestBody/content/application~1json/schema`;
}

describe('the documents and the gateway agree on what is taken and what is refused:', () => {
  test.each([
    ['/v1/signals', batch(SIGNAL)],
    ['/v1/status', batch(STATUS)],
    [
      '/v1/disconnect',
      fc.oneof(
        nearly({ user: fc.string({ minLength: 1, maxLength: 300 }), reconnect: fc.boolean() }),
        fc.record(
          { user: fc.string({ maxLength: 257 }), sid: fc.string({ unit: halves }), reconnect: fc.boolean() },
          { requiredKeys: [] },
        ),
      ),
    ],
  ])('POST %s', async (path, values) => {
    const rarest = await agree(
      values,
      (value) => OPENAPI.fault(bodyOf(path), value),
      async (value) => verdict(await pod.post(path, JSON.stringify(value)), 422, [200, 202]),
    );
    expect(rarest).toBeGreaterThan(OFTEN);
  });

  test('the payloads of the two documents, which are made in two dialects', () => {
    for (const [schema, values] of [
      ['Signal', SIGNAL],
      ['StatusUpdate', STATUS],
    ] as const) {
      const pointer = `#/components/schemas/${schema}`;
      const same = fc.property(values, (value) => {
        expect(OPENAPI.fault(pointer, value)).toBe(ASYNCAPI.fault(pointer, value));
      });
      fc.assert(same, RUNS);
    }
  });

  test('GET /v1/signals?after=', async () => {
    const epoch = fc.oneof(fc.stringMatching(/^[\w-]{1,40}$/), fc.string());
    const seq = fc.oneof(
      fc.nat().map(String),
      fc.constantFrom('00', '-1', '1e3', '', '9'.repeat(17), '9007199254740991'),
    );
    const rarest = await agree(
      fc.oneof(
        fc.tuple(epoch, seq).map((parts) => parts.join(':')),
        fc.string(),
      ),
      (value) => OPENAPI.fault('#/paths/~1v1~1signals/get/parameters/0/schema', value),
      async (value) => {
        const answer = await fetch(`${pod.adminUrl}/v1/signals?after=${encodeURIComponent(String(value))}`);
        // A place in a journal that is not there is one all the same.
        return verdict(answer, 400, [200, 410]);
      },
    );
    expect(rarest).toBeGreaterThan(OFTEN);
  });

  test('subscribe', async () => {
    const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const topic = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom('*', 'BTC/USDT', 'BTC/USDT@1m', '**', `${'x'.repeat(64)}@${'y'.repeat(16)}`),
      },
      { weight: 2, arbitrary: name(MAX_SYMBOL_LENGTH) },
      { weight: 2, arbitrary: fc.tuple(name(66), name(17)).map((parts) => parts.join('@')) },
      { weight: 1, arbitrary: anything },
    );
    const rarest = await agree(
      fc.oneof({ weight: 5, arbitrary: fc.array(topic, { maxLength: 4 }) }, { weight: 1, arbitrary: anything }),
      (value) => ASYNCAPI.fault('#/components/messages/subscribe/payload', [value]),
      async (value) => {
        const answer = (await client.socket.timeout(10_000).emitWithAck('subscribe', value)) as SubscribeAnswer;
        const said = JSON.stringify(answer);
        if (!answer.ok && answer.error.code !== 'invalid_topics') throw new Error(`unexpected answer ${said}`);
        return { taken: answer.ok, said };
      },
    );
    expect(rarest).toBeGreaterThan(OFTEN);
  });
});

// What the schemas can not say, and say in words.

test('the only exceptions are known: a price that a double does not hold, which JSON can write', async () => {
  const answer = await pod.post('/v1/signals', JSON.stringify(signal(1)).replace('"price":1', '"price":1e400'));
  expect(answer.status).toBe(422);
});

test('the only exceptions are known: a field twice, of which a document sees one', async () => {
  const answer = await pod.post('/v1/signals', JSON.stringify(signal(1)).replace('{', '{"price":1,'));
  expect(answer.status).toBe(422);
  expect((await pod.post('/v1/disconnect', '{"user":"a","user":"a"}')).status).toBe(422);
});

test('the only exceptions are known: a message that nests too deep', async () => {
  const deep = JSON.parse(nested(signal(1), MAX_MESSAGE_DEPTH + 1, ['[', ']'])) as unknown;
  expect(OPENAPI.fault('#/components/schemas/Signal', deep)).toBeUndefined();
  expect((await pod.post('/v1/signals', deep)).status).toBe(422);
});

test('the only exceptions are known: a message beyond MAX_SIGNAL_BYTES', async () => {
  const long = signal(1, { pad: 'x'.repeat(16_000) });
  expect(OPENAPI.fault('#/components/schemas/Signal', long)).toBeUndefined();
  expect((await pod.post('/v1/signals', long)).status).toBe(413);
});

test('the only exceptions are known: an offset with a number that a double does not hold', async () => {
  expect(OPENAPI.fault('#/components/schemas/Offset', 'a:9999999999999999')).toBeUndefined();
  expect((await fetch(`${pod.adminUrl}/v1/signals?after=a:9999999999999999`)).status).toBe(400);
});
