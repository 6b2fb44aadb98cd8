import { expect } from 'vitest';
import { PROBLEMS, type ProblemCode } from '../../src/errors.js';
import { nested } from '../support/bad-messages.js';
import type { Pod } from '../support/pod.js';
import { HOST } from '../support/processes.js';
import { type RawAnswer, postHead, rawRequest } from '../support/raw-http.js';
import { signal, status } from '../support/signals.js';

/** The largest message of the pods that these requests go to. */
export const MAX_SIGNAL_BYTES = 500;

/** One request that must be refused, and with which code. */
export interface BadRequest {
  readonly name: string;
  readonly send: (pod: Pod) => Promise<RawAnswer>;
  readonly code: ProblemCode;
  /** Headers that the answer has to have. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The JSON text of a value. */
export function json(value: unknown): string {
  return JSON.stringify(value);
}

/** Checks that an answer is the problem document of a code, with every member. */
export function expectProblem(answer: RawAnswer, code: ProblemCode): void {
  const { status: number, title } = PROBLEMS[code];
  const body = JSON.parse(answer.body) as Record<string, unknown>;
  expect(body).toMatchObject({ code, status: number, title, type: `urn:signal-gateway:problem:${code}` });
  expect(typeof body['detail']).toBe('string');
  expect(body['detail']).not.toBe('');
  expect(answer.status).toBe(number);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
}

type Body = string | Uint8Array;

/** A request with `fetch`. */
function request(
  method: string,
  path: string,
  body?: Body,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
): BadRequest['send'] {
  return async (pod) => {
    const answer = await fetch(pod.adminUrl + path, {
      method,
      headers,
      // Bytes, for which fetch sets no content-type by itself.
      ...(body === undefined ? {} : { body: Buffer.from(body) }),
    });
    return { status: answer.status, headers: new Map(answer.headers), body: await answer.text() };
  };
}

function post(path: string, body: Body, headers?: Readonly<Record<string, string>>): BadRequest['send'] {
  return request('POST', path, body, headers);
}

const GOOD = json(signal(1));
const LONG_BODY = 1000 * (MAX_SIGNAL_BYTES + 2) + 1024 + 1;

function* chunked(size: number): Generator<string> {
  yield postHead('/v1/signals', { 'transfer-encoding': 'chunked' });
  const chunk = ' '.repeat(10_000);
  for (let sent = 0; sent < size; sent += chunk.length) yield `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
  yield '0\r\n\r\n';
}

const oversized = signal(1, { pad: 'x'.repeat(MAX_SIGNAL_BYTES) });
const nearly = signal(1, { pad: 'é'.repeat(MAX_SIGNAL_BYTES / 2) });

/** Requests that a pod in embedded mode, without `API_KEY` and with {@link MAX_SIGNAL_BYTES}, must refuse. */
export const BAD_REQUESTS: readonly BadRequest[] = [
  { name: 'no content-type', send: post('/v1/signals', GOOD, {}), code: 'unsupported_media_type' },
  {
    name: 'text/plain',
    send: post('/v1/signals', GOOD, { 'content-type': 'text/plain' }),
    code: 'unsupported_media_type',
  },
  {
    name: 'a form',
    send: post('/v1/signals', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' }),
    code: 'unsupported_media_type',
  },
  {
    name: 'a type that only begins like JSON',
    send: post('/v1/status', json(status()), { 'content-type': 'application/jsonlines' }),
    code: 'unsupported_media_type',
  },
  { name: 'an empty body', send: post('/v1/signals', ''), code: 'invalid_json' },
  {
    name: 'no body and no length',
    send: (pod) => rawRequest(pod.adminPort, [postHead('/v1/signals', {})]),
    code: 'invalid_json',
  },
  { name: 'white space only', send: post('/v1/status', ' \n'), code: 'invalid_json' },
  { name: 'truncated JSON', send: post('/v1/signals', GOOD.slice(0, -1)), code: 'invalid_json' },
  { name: 'JSON lines', send: post('/v1/signals', `${GOOD}\n${GOOD}`), code: 'invalid_json' },
  { name: 'a trailing comma in the array', send: post('/v1/signals', `[${GOOD},]`), code: 'invalid_json' },
  { name: 'a byte order mark', send: post('/v1/signals', `\ufeff${GOOD}`), code: 'invalid_json' },
  { name: 'a no-break space after the batch', send: post('/v1/signals', `[${GOOD}]\u00a0`), code: 'invalid_json' },
  {
    name: 'a byte that is not UTF-8',
    send: post('/v1/signals', Buffer.from([0x7b, 0xff, 0x7d])),
    code: 'invalid_encoding',
  },
  {
    name: 'UTF-16 with a mark',
    send: post('/v1/status', Buffer.from(`\ufeff${json(status())}`, 'utf16le')),
    code: 'invalid_encoding',
  },
  {
    name: 'an overlong sequence',
    send: post('/v1/signals', Buffer.from([0x22, 0xc0, 0xaf, 0x22])),
    code: 'invalid_encoding',
  },
  { name: 'an empty array of signals', send: post('/v1/signals', '[ ]'), code: 'empty_batch' },
  { name: 'an empty array of statuses', send: post('/v1/status', '[]'), code: 'empty_batch' },
  {
    name: '1,001 items',
    send: post('/v1/signals', json(Array.from({ length: 1001 }, () => signal(1)))),
    code: 'batch_too_long',
  },
  { name: 'a message too large', send: post('/v1/signals', json(oversized)), code: 'message_too_large' },
  { name: 'a message too large in bytes only', send: post('/v1/signals', json(nearly)), code: 'message_too_large' },
  {
    name: 'a message too large as the last item',
    send: post('/v1/signals', json([signal(1), oversized])),
    code: 'message_too_large',
  },
  {
    name: 'a body announced too large',
    send: (pod) => rawRequest(pod.adminPort, [postHead('/v1/signals', { 'content-length': String(LONG_BODY) })]),
    code: 'body_too_large',
  },
  {
    name: 'a body announced far too large',
    send: (pod) => rawRequest(pod.adminPort, [postHead('/v1/signals', { 'content-length': '999999999999' })]),
    code: 'body_too_large',
  },
  {
    name: 'a body too large in chunks',
    send: (pod) => rawRequest(pod.adminPort, chunked(2 * LONG_BODY)),
    code: 'body_too_large',
  },
  { name: 'a status as a signal', send: post('/v1/signals', json(status())), code: 'invalid_signal' },
  { name: 'a signal as a status', send: post('/v1/status', GOOD), code: 'invalid_status' },
  { name: 'null', send: post('/v1/signals', 'null'), code: 'invalid_signal' },
  { name: 'a string', send: post('/v1/status', '"active"'), code: 'invalid_status' },
  { name: 'a number', send: post('/v1/signals', '12345678901234567890'), code: 'invalid_signal' },
  { name: 'an array in an array', send: post('/v1/signals', `[[${GOOD}]]`), code: 'invalid_signal' },
  {
    name: 'arrays 100,000 levels deep',
    send: post('/v1/signals', '['.repeat(100_000) + ']'.repeat(100_000)),
    code: 'message_too_large',
  },
  {
    name: 'a good batch with one bad item at the end',
    send: post('/v1/signals', json([signal(1), signal(2), signal(3, { signal: 'HOLD' })])),
    code: 'invalid_signal',
  },
  {
    name: 'a good batch with one bad item at the start',
    send: post('/v1/status', json([{}, status(), status()])),
    code: 'invalid_status',
  },
  {
    name: 'a signal with its price twice',
    send: post('/v1/signals', GOOD.replace('{', '{"price":2,')),
    code: 'duplicate_field',
  },
  {
    name: 'a status with its service twice, once in escapes',
    send: post('/v1/status', json(status()).replace('{', String.raw`{"servi\u0063e":"x",`)),
    code: 'duplicate_field',
  },
  {
    name: 'a signal with a field twice as the last item',
    send: post('/v1/signals', `[${GOOD},${GOOD.replace('}', ',"signal":"SELL"}')}]`),
    code: 'duplicate_field',
  },
  {
    name: 'an unpaired surrogate as a symbol',
    send: post('/v1/signals', GOOD.replace('BTC/USDT', String.raw`\ud83d`)),
    code: 'lone_surrogate',
  },
  {
    name: 'an unpaired surrogate as a service in a batch',
    send: post('/v1/status', json([status(), { ...status(), service: '\udc00' }])),
    code: 'lone_surrogate',
  },
  {
    name: 'a signal of 64 levels',
    send: post('/v1/signals', nested(signal(1), 64, ['[', ']'])),
    code: 'too_deep',
  },
  {
    name: 'a status of 64 levels in a batch',
    send: post('/v1/status', `[${json(status())},${nested({ ...status() }, 64, ['[', ']'])}]`),
    code: 'too_deep',
  },
  { name: 'null in a batch', send: post('/v1/status', json([status(), null])), code: 'invalid_status' },
  {
    name: 'GET of a route that takes POST',
    send: request('GET', '/v1/status'),
    code: 'method_not_allowed',
    headers: { allow: 'POST' },
  },
  {
    name: 'PUT',
    send: request('PUT', '/v1/status', json(status())),
    code: 'method_not_allowed',
    headers: { allow: 'POST' },
  },
  { name: 'DELETE', send: request('DELETE', '/v1/status'), code: 'method_not_allowed', headers: { allow: 'POST' } },
  {
    name: 'POST to the health check',
    send: post('/healthz', '{}'),
    code: 'method_not_allowed',
    headers: { allow: 'GET' },
  },
  { name: 'an unknown path', send: request('GET', '/v2/signals'), code: 'not_found' },
  { name: 'the root', send: request('GET', '/'), code: 'not_found' },
  { name: 'POST to an unknown path', send: post('/v1/signal', GOOD), code: 'not_found' },
  { name: 'a path with a slash at the end', send: post('/v1/signals/', GOOD), code: 'not_found' },
  { name: 'a path in capitals', send: post('/V1/SIGNALS', GOOD), code: 'not_found' },
  {
    name: 'a page of a browser',
    send: post('/v1/signals', GOOD, { 'content-type': 'application/json', origin: `http://${HOST}` }),
    code: 'forbidden',
  },
];
