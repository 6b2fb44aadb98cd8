import { Validator } from '@seriousme/openapi-schema-validator';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { openapiDocument } from '../../src/admin/openapi.js';
import { documentText } from '../../src/contract/json-schema.js';
import { PROBLEMS } from '../../src/errors.js';
import { version } from '../../src/version.js';
import { DocumentSchemas, type Tree, at, below, references, tree } from '../contract/document-schemas.js';
import { DOCUMENTS } from '../contract/documents.js';
import { httpRequest } from '../support/http.js';
import { nested } from '../support/bad-messages.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { type RawAnswer, postHead, rawRequest } from '../support/raw-http.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { ApiCheck } from './api-check.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const DOCUMENT = JSON.parse(documentText(openapiDocument(version()))) as Tree;

/** Every place of the document that shows an example, with the pointer of the schema it is of. */
function* examplesOf(value: unknown, pointer: string): Generator<[string, unknown]> {
  if (typeof value !== 'object' || value === null) return;
  const { schema, example, examples } = tree(value);
  if (schema !== undefined) {
    if (example !== undefined) yield [`${pointer}/schema`, example];
    for (const one of Object.values(tree(examples))) yield [`${pointer}/schema`, tree(one)['value']];
  }
  for (const [key, member] of Object.entries(value)) yield* examplesOf(member, below(pointer, key));
}

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone(DOCUMENT) as Record<string, unknown>)).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    const wrong = { ...structuredClone(DOCUMENT), paths: { '/x': { get: { responses: 5 } } } };
    expect((await new Validator().validate(wrong)).valid).toBe(false);
  });

  test('has an example of every JSON body, and all of them are valid', () => {
    const schemas = new DocumentSchemas(DOCUMENT, { draft: 2020, isClosed: true });
    const parts = { paths: DOCUMENT['paths'], components: DOCUMENT['components'] };
    const examples = [...examplesOf(parts, '#')];
    expect(examples.map(([pointer, value]) => schemas.fault(pointer, value)).filter(Boolean)).toEqual([]);
    const shown = new Set(examples.map(([pointer]) => pointer));
    const bodies = JSON.stringify(parts).match(/"application\/(?:problem\+)?json":/g) ?? [];
    expect([...shown].filter((pointer) => pointer.endsWith('json/schema'))).toHaveLength(bodies.length);
  });

  test('refers to nothing that is not there, and has no schema that nobody refers to', () => {
    const all = references(DOCUMENT);
    expect(all.filter((pointer) => at(DOCUMENT, pointer) === undefined)).toEqual([]);
    const names = Object.keys(tree(at(DOCUMENT, '#/components/schemas')));
    expect(names.filter((name) => !all.includes(`#/components/schemas/${name}`))).toEqual([]);
  });

  test('has every code of the registry, under its own status', () => {
    const check = new ApiCheck(DOCUMENT);
    const shared = Object.entries(tree(at(DOCUMENT, '#/components/responses'))).map(
      ([name]) =>
        at(DOCUMENT, `#/components/responses/${name}/content/application~1problem+json/schema/allOf/1/properties`) as {
          status: { const: number };
          code: { enum: string[] };
        },
    );
    const documented = new Set([
      ...check.documented().map((one) => one.split(' ').slice(1).join(' ')),
      ...shared.flatMap((one) => one.code.enum.map((code) => `${one.status.const} ${code}`)),
    ]);
    const missing = Object.entries(PROBLEMS).filter(([code, one]) => !documented.has(`${one.status} ${code}`));
    // Only the dashboard, on the public port, answers with these.
    expect(missing.map(([code]) => code)).toEqual(['publish_token_required', 'publish_token_wrong']);
  });
});

const MAX_SIGNAL_BYTES = 500;
const JSON_TYPE = { 'content-type': 'application/json' };

/** Calls what publishes, with good and bad input. */
async function publish(check: ApiCheck, pod: Pod, path: string, good: object, invalid: string): Promise<void> {
  const post = (body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<string> =>
    check.call(pod, path, { method: 'POST', body, headers });
  expect(await post(good)).toBe('202');
  expect(await post([good, { ...good, more: { than: 'named' } }])).toBe('202');
  const once = { 'idempotency-key': `once at ${path}` };
  expect([await post(good, once), await post(good, once)]).toEqual(['202', '202']);
  expect(await post([good], once)).toBe('422 idempotency_key_reused');
  expect(await post(good, { 'idempotency-key': 'x'.repeat(256) })).toBe('400 invalid_idempotency_key');
  expect(await post('{')).toBe('400 invalid_json');
  expect(await post(Buffer.from([0xff]))).toBe('400 invalid_encoding');
  expect(await post(good, { origin: 'http://page.example' })).toBe('403 forbidden');
  expect(await post(' '.repeat(1000 * (MAX_SIGNAL_BYTES + 2) + 1025))).toBe('413 body_too_large');
  expect(await post({ ...good, pad: 'x'.repeat(MAX_SIGNAL_BYTES) })).toBe('413 message_too_large');
  expect(await post([good, { ...good, pad: 'x'.repeat(MAX_SIGNAL_BYTES) }])).toBe('413 message_too_large');
  expect(await post(good, { 'content-type': 'text/plain' })).toBe('415 unsupported_media_type');
  expect(await post(good, { 'content-encoding': 'gzip' })).toBe('415 unsupported_encoding');
  expect(await post([])).toBe('422 empty_batch');
  expect(await post(Array.from({ length: 1001 }, () => good))).toBe('422 batch_too_long');
  expect(await post({})).toBe(`422 ${invalid}`);
  expect(await post([good, {}])).toBe(`422 ${invalid}`);
  const text = JSON.stringify(good);
  expect(await post(Buffer.from(text.replace(/\{("\w+":)/, '{$1null,$1')))).toBe('422 duplicate_field');
  expect(await post({ ...good, symbol: '\ud83d', service: '\ud83d' })).toBe('422 lone_surrogate');
  expect(await post(Buffer.from(nested({ ...good }, 64, ['[', ']'])))).toBe('422 too_deep');
}

async function control(check: ApiCheck, pod: Pod): Promise<void> {
  const post = (body: unknown, headers: Readonly<Record<string, string>> = JSON_TYPE): Promise<string> =>
    check.call(pod, '/v1/disconnect', { method: 'POST', body, headers });
  expect(await post({ user: 'nobody' })).toBe('200');
  expect(await post({ sid: 'nobody', reconnect: true })).toBe('200');
  expect(await post('nobody')).toBe('400 invalid_json');
  expect(await post(Buffer.from([0xff]))).toBe('400 invalid_encoding');
  expect(await post({ user: 'a', sid: 'b' })).toBe('422 invalid_disconnect');
  expect(await post(Buffer.from('{"user":"a","user":"b"}'))).toBe('422 duplicate_field');
  expect(await post({ user: '\ud83d' })).toBe('422 lone_surrogate');
  expect(await post({ sid: 'x'.repeat(5000) })).toBe('413 body_too_large');
  expect(await post({ user: 'a' }, { 'content-type': 'text/plain' })).toBe('415 unsupported_media_type');
  expect(await post({ user: 'a' }, { 'content-encoding': 'br' })).toBe('415 unsupported_encoding');
  expect(await post({ user: 'a' }, { origin: 'http://page.example' })).toBe('403 forbidden');
  expect(await check.call(pod, '/v1/info')).toBe('200');
  expect(await check.call(pod, '/v1/info', { headers: { origin: 'http://page.example' } })).toBe('403 forbidden');
}

async function history(check: ApiCheck, pod: Pod): Promise<void> {
  const get = (query: string, headers = {}): Promise<string> => check.call(pod, `/v1/signals${query}`, { headers });
  await pod.post('/v1/status', status());
  const first = (await (await fetch(`${pod.adminUrl}/v1/signals?limit=1`)).json()) as { next: string };
  expect([await get(''), await get('?limit=3'), await get(`?after=${first.next}`)]).toEqual(['200', '200', '200']);
  await pod.post(
    '/v1/signals',
    Array.from({ length: 50 }, (_, i) => signal(i)),
  );
  expect(await get(`?after=${first.next}`)).toBe('410 offset_expired');
  expect(await get('?after=another:1')).toBe('410 offset_epoch');
  expect(await get('?after=nothing')).toBe('400 invalid_offset');
  expect(await get('?limit=0')).toBe('400 invalid_limit');
  expect(await get('', { origin: 'http://page.example' })).toBe('403 forbidden');
}

async function deletion(check: ApiCheck, pod: Pod): Promise<void> {
  const remove = (offset: string, query: string, body?: unknown, headers = {}): Promise<string> =>
    check.call(pod, `/v1/entries/${offset}${query}`, { method: 'DELETE', body, headers });
  const append = async (): Promise<string> =>
    ((await (await pod.post('/v1/signals', signal(1))).json()) as { offsets: string[] }).offsets[0] ?? '';
  const first = await append();
  expect([await remove(first, '?reason=wrong'), await remove(first, '?reason=wrong')]).toEqual(['200', '200']);
  expect(await remove(await append(), '', { reason: 'wrong' })).toBe('200');
  expect(await check.call(pod, '/v1/signals')).toBe('200');
  const last = await append();
  expect(await remove(last, '')).toBe('422 invalid_reason');
  expect(await remove(last, '', '{')).toBe('400 invalid_json');
  expect(await remove(last, '', Buffer.from([0xff]))).toBe('400 invalid_encoding');
  expect(await remove(last, '', { reason: 'x'.repeat(5000) })).toBe('413 body_too_large');
  expect(await remove(last, '', { reason: 'x' }, { 'content-type': 'text/plain' })).toBe('415 unsupported_media_type');
  expect(await remove(last, '', { reason: 'x' }, { 'content-encoding': 'gzip' })).toBe('415 unsupported_encoding');
  expect(await remove(last, '?reason=x', undefined, { origin: 'http://page.example' })).toBe('403 forbidden');
  expect(await remove('nothing', '?reason=x')).toBe('400 invalid_offset');
  expect(await remove('another:1', '?reason=x')).toBe('404 entry_not_found');
  for (let i = 0; i < 30; i++) await append();
  expect(await remove(last, '?reason=x')).toBe('410 offset_expired');
}

/** Sends the begin of a body to everything that takes one, and waits. */
async function stall(check: ApiCheck, pod: Pod): Promise<void> {
  const paths = ['/v1/signals', '/v1/status', '/v1/disconnect'];
  const head = postHead('/v1/entries/a:1?reason=x', { 'content-length': '1000' }).replace('POST', 'DELETE');
  const [slow, ...answers] = await Promise.all([
    rawRequest(pod.adminPort, [head, '{']),
    ...paths.map((path) => rawRequest(pod.adminPort, [postHead(path, { 'content-length': '1000' }), '{'])),
  ]);
  const said = paths.map((path, i) => check.check('POST', path, answers[i] as RawAnswer));
  expect(said).toEqual(paths.map(() => '408 request_timeout'));
  expect(check.check('DELETE', '/v1/entries/a:1', slow)).toBe('408 request_timeout');
}

/** Sends a request with two tokens. */
function twoTokens(pod: Pod, method: string, path: string): Promise<RawAnswer> {
  const line = `${method.toUpperCase()} ${path.replace(/\{.*\}/, 'a:1')} HTTP/1.1`;
  const token = 'authorization: Bearer one\r\n';
  return rawRequest(pod.adminPort, [`${line}\r\nhost: localhost\r\n${token}${token}\r\n`]);
}

/** Operations that need a key, with a good body where they take one. */
const GUARDED = [
  ['/v1/signals', 'GET', undefined],
  ['/v1/signals', 'POST', signal(1)],
  ['/v1/status', 'POST', status()],
  ['/v1/info', 'GET', undefined],
  ['/v1/disconnect', 'POST', { user: 'a' }],
  ['/v1/entries/a:1', 'DELETE', { reason: 'wrong' }],
] as const;

const OPEN = ['/healthz', '/readyz', '/metrics', '/openapi.json', '/asyncapi.json'];

test('a live admin port answers what the OpenAPI document says, all of it and nothing else', async () => {
  const check = new ApiCheck(DOCUMENT);
  const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '20', MAX_SIGNAL_BYTES: String(MAX_SIGNAL_BYTES) });
  const stalled = stall(check, pod);
  // Its error is thrown below.
  stalled.catch(() => {});
  await publish(check, pod, '/v1/signals', signal(1), 'invalid_signal');
  await publish(check, pod, '/v1/status', status(), 'invalid_status');
  await control(check, pod);
  await history(check, pod);
  await deletion(check, pod);
  for (const path of OPEN) expect(await check.call(pod, path)).toBe('200');
  for (const path of ['/', '/v1', '/v1/signals/', '/openapi']) {
    expect(await check.call(pod, path)).toBe('404 not_found');
  }
  for (const [path, item] of Object.entries(tree(DOCUMENT['paths']))) {
    for (const [method, operation] of Object.entries(tree(item))) {
      if (tree(tree(operation)['responses'])['431'] === undefined) continue;
      const headers = { cookie: 'c'.repeat(21_000) };
      expect(await check.call(pod, path, { method: method.toUpperCase(), headers })).toBe('431 headers_too_large');
      expect(check.check(method, path, await twoTokens(pod, method, path))).toBe('400 bad_request');
    }
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      if (tree(item)[method.toLowerCase()] !== undefined) continue;
      expect(await check.call(pod, path, { method })).toBe('405 method_not_allowed');
    }
  }

  const locked = await Pod.start(cleanup, { API_KEY: 'the-key' });
  const key = { authorization: 'Bearer the-key' };
  for (const [path, method, body] of GUARDED) {
    expect(await check.call(locked, path, { method, body })).toBe('401 unauthorized');
    expect(await check.call(locked, path, { method, body, headers: key })).toMatch(/^20[02]$|^404 entry_not_found$/);
  }

  const redis = await RedisServer.start(cleanup);
  const cut = await Pod.start(cleanup, { REDIS_URL: redis.url });
  expect(await check.call(cut, '/v1/info')).toBe('200');
  // It has no replica that could have a message.
  const alone = await Pod.start(cleanup, { REDIS_URL: redis.url, JOURNAL_MIN_REPLICAS: '1' });
  for (const [path, body] of [
    ['/v1/signals', signal(1)],
    ['/v1/status', status()],
  ] as const)
    expect(await check.call(alone, path, { method: 'POST', body })).toBe('503 not_replicated');
  await redis.kill();
  await cut.notReady('redis');
  for (const [path, method, body] of GUARDED) expect(await check.call(cut, path, { method, body })).toMatch(/^503 /);
  expect(await check.call(cut, '/readyz')).toBe('503');

  await stalled;
  expect(check.faults).toEqual([]);
  // A gateway that works never fails in that way.
  const missing = check.documented().filter((one) => !check.seen.has(one) && !one.endsWith(' 500 internal'));
  expect(missing).toEqual([]);
});

/** A problem document. */
function problem(code: number, name: string): object {
  return {
    type: `urn:signal-gateway:problem:${name}`,
    title: 'A title',
    status: code,
    code: name,
    detail: 'A detail.',
  };
}

test('what the OpenAPI document does not say is found', () => {
  const check = new ApiCheck(DOCUMENT);
  const answer = (code: number, type: string, body: unknown, headers: Record<string, string> = {}): void => {
    const all = new Map(Object.entries({ 'content-type': type, ...headers }));
    check.check('GET', '/v1/info', { status: code, headers: all, body: JSON.stringify(body) });
  };
  const PROBLEM = 'application/problem+json';
  answer(401, PROBLEM, problem(401, 'unauthorized'), { 'WWW-Authenticate': 'Bearer' });
  expect(check.faults).toEqual([]);
  answer(401, PROBLEM, problem(401, 'unauthorized'));
  answer(401, PROBLEM, problem(401, 'forbidden'), { 'WWW-Authenticate': 'Bearer' });
  answer(401, PROBLEM, { ...problem(401, 'unauthorized'), more: 1 }, { 'WWW-Authenticate': 'Bearer' });
  answer(401, 'application/json', problem(401, 'unauthorized'), { 'WWW-Authenticate': 'Bearer' });
  answer(418, PROBLEM, problem(418, 'unauthorized'));
  answer(200, 'application/json', { pods: [] });
  expect(check.faults).toHaveLength(6);
});

test('a live gateway serves the committed documents, and the AsyncAPI document to pages of any origin', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: 'https://page.example' });
  for (const { name, file } of DOCUMENTS) {
    const answer = await fetch(`${pod.adminUrl}/${name}`);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(await answer.text()).toBe(readFileSync(file, 'utf8'));
    const head = await httpRequest(`${pod.adminUrl}/${name}`, { method: 'HEAD' });
    expect([head.status, Number(head.headers['content-length'])]).toEqual([200, readFileSync(file).byteLength]);
  }
  const [asyncapi] = DOCUMENTS;
  const url = `${pod.url}/asyncapi.json`;
  const answer = await httpRequest(url, { headers: { origin: 'https://other.example' } });
  expect(answer.status).toBe(200);
  expect(answer.headers).toMatchObject({ 'access-control-allow-origin': '*', 'content-type': 'application/json' });
  expect(answer.body).toBe(asyncapi?.text);
  const head = await httpRequest(url, { method: 'HEAD' });
  expect([head.status, head.body, head.headers['content-length']]).toEqual([
    200,
    '',
    String(Buffer.byteLength(asyncapi?.text ?? '')),
  ]);
  const post = await httpRequest(url, { method: 'POST', body: '{}' });
  expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  expect((await httpRequest(`${pod.url}/openapi.json`)).status).toBe(404);
});

test('a connection on which a HEAD was answered takes the next request', async () => {
  const pod = await Pod.start(cleanup);
  const agent = cleanup.add(new Agent({ keepAlive: true, maxSockets: 1 }), (self) => self.destroy());
  const head = (url: string): Promise<[number | undefined, boolean]> =>
    new Promise((resolve, reject) => {
      const outgoing = request(url, { method: 'HEAD', agent });
      outgoing.on('error', reject).on('response', (response) => {
        response.resume().on('end', () => resolve([response.statusCode, outgoing.reusedSocket]));
      });
      outgoing.end();
    });
  for (const url of [`${pod.adminUrl}/healthz`, `${pod.url}/asyncapi.json`]) {
    expect([await head(url), await head(url)]).toEqual([
      [200, false],
      [200, true],
    ]);
  }
});
