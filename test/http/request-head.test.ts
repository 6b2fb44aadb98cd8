import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { allowHeaders } from '../../src/http/request-head.js';
import { REFUSALS } from '../../src/errors.js';
import { type HttpAnswer, WEBSOCKET_HEADERS, httpRequest } from '../support/http.js';
import { SECRET, claims, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { rawRequest } from '../support/raw-http.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

const TRANSPORTS = ['polling', 'websocket'] as const;
/** `MAX_HEADER_BYTES` when it is not set. */
const DEFAULT_LIMIT = 20_480;

/** A token of exactly so many characters that is good, with a claim that fills it up. */
async function tokenOf(length: number): Promise<string> {
  for (let padding = length; padding > 0; padding--) {
    const token = await secretToken(claims({ padding: 'x'.repeat(Math.max(0, Math.floor((padding * 3) / 4))) }));
    if (token.length === length) return token;
    if (token.length < length) break;
    // Four characters of base64 hold three bytes: steps as large as what is too much, and no larger.
    padding -= Math.max(0, token.length - length - 8);
  }
  throw new Error(`no token has ${length} characters`);
}

/** A request for a session whose head has exactly so many bytes. */
function headOf(bytes: number, path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ host: HOST, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const start = `GET ${path} HTTP/1.1\r\n${lines.join('')}x-filler: `;
  // The empty line at the end is not counted.
  return `${start}${'x'.repeat(bytes - start.length - 2)}\r\n\r\n`;
}

const SESSION = '/socket.io/?EIO=4&transport=';

describe('a token of 8,192 characters and a cookie of 8 KB', () => {
  test.each(TRANSPORTS)('connect together with all that a browser sends: %s', async (transport) => {
    const pod = await shared({ AUTH: 'jwt', JWT_SECRET: SECRET });
    const extraHeaders = {
      authorization: `Bearer ${await tokenOf(8192)}`,
      cookie: `a=${'c'.repeat(8190)}`,
      origin: 'https://app.example.com',
      'user-agent':
        'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
      'accept-language': 'en-US,en;q=0.9,de;q=0.8',
      'sec-ch-ua': '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"',
      'x-forwarded-for': '203.0.113.5, 198.51.100.1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    const client = await FeedClient.connect(cleanup, pod.url, { transports: [transport], extraHeaders });
    await pod.post('/v1/signals', signal(1));
    await until('the signal', () => client.signals.length === 1, { seen: () => client });
    expect(await pod.metric('gateway_refusals_total')).toBe(0);
  });

  test('are taken in pieces of any size too', async () => {
    const pod = await Pod.start(cleanup);
    const head = headOf(DEFAULT_LIMIT, `${SESSION}polling`);
    const pieces = Array.from({ length: Math.ceil(head.length / 1000) }, (_, i) =>
      head.slice(i * 1000, i * 1000 + 1000),
    );
    expect((await rawRequest(pod.port, pieces)).status).toBe(200);
  });
});

describe('headers that are too large are refused so that the client can read why', () => {
  const upgrade = WEBSOCKET_HEADERS;

  test.each([
    ['by one byte, of polling', headOf(DEFAULT_LIMIT + 1, `${SESSION}polling`)],
    ['by one byte, of a WebSocket', headOf(DEFAULT_LIMIT + 1, `${SESSION}websocket`, upgrade)],
    ['twofold, all but 500 bytes', headOf(2 * DEFAULT_LIMIT - 500, `${SESSION}polling`)],
    ['in the query', `GET ${SESSION}polling&q=${'q'.repeat(DEFAULT_LIMIT)} HTTP/1.1\r\nhost: a\r\n\r\n`],
    ['of a session that there is not', headOf(DEFAULT_LIMIT + 1, `${SESSION}polling&sid=abc`)],
    [
      'in many headers',
      `GET ${SESSION}polling HTTP/1.1\r\nhost: a\r\n${`x-${'n'.repeat(100)}: ${'v'.repeat(200)}\r\n`.repeat(80)}\r\n`,
    ],
  ])('%s', async (_name, request) => {
    const pod = await shared();
    const answer = await rawRequest(pod.port, [request]);
    const { status, message } = REFUSALS.headers_too_large;
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, { code: 'headers_too_large', message }]);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(await pod.metric('gateway_refusals_total', { reason: 'headers_too_large' })).toBe(1);
  });

  test.each(TRANSPORTS)('headers of exactly the limit are taken: %s', async (transport) => {
    const pod = await Pod.start(cleanup);
    const head = headOf(DEFAULT_LIMIT, SESSION + transport, transport === 'websocket' ? upgrade : {});
    expect((await rawRequest(pod.port, [head])).status).toBe(transport === 'websocket' ? 101 : 200);
  });

  test('the admin port says it as a problem', async () => {
    const pod = await shared();
    expect((await rawRequest(pod.adminPort, [headOf(DEFAULT_LIMIT, '/healthz')])).status).toBe(200);
    const answer = await rawRequest(pod.adminPort, [headOf(DEFAULT_LIMIT + 1, '/healthz')]);
    expect(answer.status).toBe(431);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'headers_too_large', status: 431 });
  });

  test('beyond twice the limit, and beyond 98 headers, uWebSockets.js refuses them itself and the pod lives', async () => {
    const pod = await Pod.start(cleanup);
    const many = (count: number): string =>
      `GET ${SESSION}polling HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(count - 1)}\r\n`;
    expect((await rawRequest(pod.port, [headOf(2 * DEFAULT_LIMIT + 3, `${SESSION}polling`)])).status).toBe(431);
    expect((await rawRequest(pod.port, [many(98)])).status).toBe(200);
    expect((await rawRequest(pod.port, [many(99)])).status).toBe(431);
    expect((await httpRequest(`${pod.url}${SESSION}polling`)).status).toBe(200);
  });
});

function ask(pod: Pod, bytes: number): Promise<HttpAnswer> {
  return httpRequest(`${pod.url}${SESSION}polling`, { headers: { cookie: 'c'.repeat(bytes) } });
}

test('MAX_HEADER_BYTES moves the limit', async () => {
  const small = await Pod.start(cleanup, { MAX_HEADER_BYTES: '4096' });
  const large = await Pod.start(cleanup, { MAX_HEADER_BYTES: '131072' });
  expect((await ask(small, 3000)).status).toBe(200);
  expect((await ask(small, 4096)).status).toBe(431);
  expect((await ask(large, 130_000)).status).toBe(200);
  expect(JSON.parse((await ask(large, 131_072)).body)).toMatchObject({ code: 'headers_too_large' });
});

test('values beyond ASCII are served up to the limit, refused above twice of it, and end nothing', async () => {
  const pod = await Pod.start(cleanup);
  const send = async (value: Buffer): Promise<number> => {
    const head = Buffer.from(`GET ${SESSION}polling HTTP/1.1\r\nhost: a\r\ncookie: a`);
    return (await rawRequest(pod.port, [Buffer.concat([head, value, Buffer.from('z\r\n\r\n')])])).status;
  };
  expect(await send(Buffer.from('é'.repeat(8000)))).toBe(200);
  expect(await send(Buffer.alloc(16_000, 0xff))).toBe(200);
  expect(await send(Buffer.alloc(30_000, 0xff))).toBe(431);
  expect(await send(Buffer.from('€'.repeat(20_000)))).toBe(431);
});

test.each([
  [undefined, '40960'],
  ['', '40960'],
  ['garbage', '40960'],
  ['-1', '40960'],
  ['4096', '40960'],
  ['65536', '65536'],
])('where the environment says %j, uWebSockets.js is told %s', (set, told) => {
  const env: Record<string, string | undefined> = { UWS_HTTP_MAX_HEADERS_SIZE: set };
  allowHeaders(DEFAULT_LIMIT, env);
  expect(env['UWS_HTTP_MAX_HEADERS_SIZE']).toBe(told);
});

test.each([
  ['two lengths', 'content-length: 1\r\ncontent-length: 2\r\n'],
  ['the same length twice', 'content-length: 2\r\ncontent-length: 2\r\n'],
  ['a length beside chunks', 'content-length: 2\r\ntransfer-encoding: chunked\r\n'],
  ['chunks beside a length', 'transfer-encoding: chunked\r\ncontent-length: 2\r\n'],
  ['a coding that is not decoded', 'transfer-encoding: gzip\r\n'],
  ['two codings', 'transfer-encoding: gzip, chunked\r\n'],
  ['two hosts', 'host: b.example\r\n'],
  ['an empty origin before a foreign one', 'origin: \r\norigin: https://evil.example\r\n'],
  ['two tokens', 'authorization: Bearer a\r\nauthorization: Bearer b\r\n'],
])('a request with %s is refused on either port, and its connection closed', async (_name, headers) => {
  const pod = await shared({ CORS_ORIGIN: 'https://app.example.com' });
  const first = (method: string): string =>
    `${method} /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: ${HOST}\r\n${headers}\r\n`;
  const second = `GET /smuggled HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`;
  for (const port of [pod.port, pod.adminPort]) {
    for (const method of ['GET', 'HEAD', 'POST']) {
      // In one packet and in two: uWebSockets.js goes on with what it has.
      for (const packets of [[`${first(method)}ab${second}`], [`${first(method)}ab`, second]]) {
        const socket = cleanup.add(connect({ host: HOST, port, noDelay: true }), (self) => self.destroy());
        let answer = '';
        socket.on('data', (data) => (answer += data.toString()));
        socket.on('error', () => {});
        for (const packet of packets) {
          socket.write(packet);
          await new Promise(setImmediate);
        }
        await until('the connection to be closed', () => socket.closed, { seen: () => answer });
        // With the second request at hand, the connection is closed before the first is answered.
        expect(answer).toMatch(/^(?:HTTP\/1\.1 400 [^]*)?$/);
        expect(answer).not.toMatch(/not_found|404/);
      }
    }
  }
  const alone = await rawRequest(pod.port, [first('POST')]);
  expect([alone.status, alone.headers.get('connection')]).toEqual([400, 'close']);
});

test('a WebSocket of another version is told which one is spoken', async () => {
  const pod = await shared();
  for (const version of ['8', '14', '']) {
    const answer = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=websocket`, {
      headers: { ...WEBSOCKET_HEADERS, 'sec-websocket-version': version },
    });
    expect([answer.status, answer.headers['sec-websocket-version']]).toEqual([426, '13']);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'upgrade_required' });
  }
});
