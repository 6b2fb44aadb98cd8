import { afterEach, describe, expect, test } from 'vitest';
import { HTTP_ERRORS, type HttpErrorCode } from '../../../src/errors.js';
import type { Pod } from '../../support/pod.js';
import { PollingSession } from '../../support/polling-session.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { type RawAnswer, rawRequest } from '../../support/raw-http.js';
import { sharedPods } from '../../support/shared-pods.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

const LIMIT = 1000;
const CHUNKED = { 'transfer-encoding': 'chunked' };

/** A part of a body in chunks (RFC 9112, section 7.1); an empty one is the last. */
function chunk(data: string): string {
  return `${Buffer.byteLength(data).toString(16)}\r\n${data}\r\n`;
}

/** An event of so many bytes that nobody listens to. */
function event(size: number): string {
  return `42["a","${'x'.repeat(size - 10)}"]`;
}

/** Posts the pieces of a body, whole or one chunk each, as the headers announce it. */
function post(
  pod: Pod,
  session: PollingSession,
  headers: Readonly<Record<string, string | number>>,
  pieces: readonly string[],
): Promise<RawAnswer> {
  const head = RawClient.request('POST', `transport=polling&sid=${session.sid}`, headers);
  const body = 'transfer-encoding' in headers ? [...pieces, ''].map(chunk) : pieces;
  return rawRequest(pod.port, [head, ...body]);
}

/** Whether the session is connected, and takes packets. */
async function isServed(session: PollingSession): Promise<boolean> {
  await session.post('420["subscribe",["A"]]').catch(() => {});
  await session.poll().catch(() => {});
  return session.packets.some((packet) => packet.startsWith('430[{"ok":true'));
}

async function sessionOn(pod: Pod, connect = '40'): Promise<PollingSession> {
  const session = await PollingSession.open(pod, connect);
  // Most tests have ended it by then.
  cleanup.add(session, (self) => self.post('1').catch(() => {}));
  await session.pollUntil(() => session.packets.some((packet) => packet.includes('"welcome"')));
  return session;
}

describe('a POST of long-polling is taken', () => {
  const TAKEN: readonly [string, Readonly<Record<string, string | number>>, readonly string[]][] = [
    ['with a length', { 'content-length': 9 }, ['42["abc"]']],
    ['in one chunk', CHUNKED, ['42["abc"]']],
    ['in chunks that end within a packet', CHUNKED, ['4', '2["ab', 'c"]\x1e4', '2["d"]']],
    ['in chunks of one byte', CHUNKED, Array.from('42["abc"]')],
    ['of exactly MAX_PAYLOAD bytes with a length', { 'content-length': LIMIT }, [event(LIMIT)]],
    ['of exactly MAX_PAYLOAD bytes in chunks', CHUNKED, [event(LIMIT).slice(0, 600), event(LIMIT).slice(600)]],
    ['that says it is not encoded', { 'content-length': 9, 'content-encoding': 'Identity' }, ['42["abc"]']],
    ['of any type of text', { ...CHUNKED, 'content-type': 'application/json; charset=utf-8' }, ['42["abc"]']],
    ['that says nothing of its type', { 'content-length': 9, 'content-encoding': '' }, ['42["abc"]']],
  ];

  test.each(TAKEN)('%s', async (_name, headers, pieces) => {
    const pod = await shared({ MAX_PAYLOAD: String(LIMIT) });
    const session = await sessionOn(pod);
    const answer = await post(pod, session, headers, pieces);
    expect([answer.status, answer.body]).toEqual([200, 'ok']);
    expect(await isServed(session)).toBe(true);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('in chunks, and the next request on the same connection too', async () => {
    const pod = await shared();
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    const sid = await client.handshake();
    const query = `transport=polling&sid=${sid}`;
    const connect = RawClient.request('POST', query, CHUNKED) + chunk('4') + chunk('0') + chunk('');
    await client.send(connect + RawClient.request('GET', query));
    await client.take('\r\n\r\nok');
    expect(await client.take('40{"sid":')).toContain('HTTP/1.1 200 OK');
    await client.post(sid, '1');
  });

  test('with characters that chunks divide', async () => {
    const pod = await shared();
    const session = await sessionOn(pod);
    const bytes = Buffer.from('420["subscribe",["Grüße","世界"]]');
    const chunks = [...bytes].map((byte) => Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte, 13, 10])]));
    const head = RawClient.request('POST', `transport=polling&sid=${session.sid}`, CHUNKED);
    const answer = await rawRequest(pod.port, [head, ...chunks, '0\r\n\r\n']);
    expect(answer.body).toBe('ok');
    await session.pollUntil(() => session.packets.some((packet) => packet.startsWith('430')));
    // Topics of other letters than ASCII are refused, by the name that was sent.
    const asked = await sessionOn(pod);
    await asked.post(bytes.toString());
    await asked.pollUntil(() => asked.packets.some((packet) => packet.startsWith('430')));
    expect(session.packets.at(-1)).toBe(asked.packets.at(-1));
  });
});

describe('a POST of long-polling is refused with a code that can be read, and ends its session', () => {
  const REFUSED: readonly [string, HttpErrorCode, Record<string, string | number>, readonly string[]][] = [
    ['a body longer than MAX_PAYLOAD', 'body_too_large', { 'content-length': LIMIT + 1 }, [event(LIMIT + 1)]],
    ['a length of which nothing comes', 'body_too_large', { 'content-length': '999999999999' }, []],
    ['chunks that are too much together', 'body_too_large', CHUNKED, [event(LIMIT), 'x']],
    ['a chunk that is far too much', 'body_too_large', CHUNKED, [event(1_000_000)]],
    ['a length of 0', 'empty_body', { 'content-length': 0 }, []],
    ['chunks without content', 'empty_body', CHUNKED, []],
    ['no length and no chunks', 'length_required', {}, []],
    ['a compressed body', 'unsupported_encoding', { 'content-length': 2, 'content-encoding': 'gzip' }, ['40']],
    ['a body in chunks encoded twice', 'unsupported_encoding', { ...CHUNKED, 'content-encoding': 'br, gzip' }, ['40']],
    ['octets', 'binary_body', { 'content-length': 2, 'content-type': 'application/octet-stream' }, ['40']],
    ['octets in chunks', 'binary_body', { ...CHUNKED, 'content-type': 'Application/Octet-Stream; a=b' }, ['40']],
  ];

  test.each(REFUSED)('%s', async (_name, code, headers, pieces) => {
    const pod = await shared({ MAX_PAYLOAD: String(LIMIT) });
    const session = await sessionOn(pod);
    const answer = await post(pod, session, headers, pieces);
    const { status, message } = HTTP_ERRORS[code];
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, { code, message }]);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(await pod.metric('gateway_refusals_total', { reason: code })).toBe(1);
    expect(await pod.metric('gateway_refusals_total')).toBe(1);
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test.each(['GET', 'POST'] as const)('a second %s while the first is open', async (method) => {
    const pod = await shared();
    const session = await sessionOn(pod);
    const first = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    const query = `transport=polling&sid=${session.sid}`;
    const head = RawClient.request(method, query, method === 'POST' ? CHUNKED : {});
    await first.send(method === 'POST' ? head + chunk('4') : head);
    // The second may overtake the first; one of the two is refused in any case.
    const second = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await second.send(method === 'POST' ? head + chunk('42["a"]') + chunk('') : head);
    await until('a refusal', () => [first, second].some(({ received }) => received.includes('"overlapping_request"')), {
      seen: () => [first.received.toString(), second.received.toString()],
    });
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });
});

describe('a POST that lies about its length ends its session, and nothing else', () => {
  const LIES: readonly [string, Readonly<Record<string, string | number>>, string][] = [
    ['less than was announced, and the end of the connection', { 'content-length': 100 }, '42["a"]'],
    ['more than was announced', { 'content-length': 2 }, '42["a"]'],
    ['a length and chunks', { 'content-length': 7, ...CHUNKED }, chunk('42["a"]') + chunk('')],
    ['two lengths', { 'content-length': 7, 'Content-Length': 8 }, '42["a"]'],
    ['a length that is no number', { 'content-length': '-7' }, '42["a"]'],
    ['a chunk whose size is no number', CHUNKED, 'zz\r\n42["a"]\r\n'],
    ['a chunk of 16 exabytes', CHUNKED, 'ffffffffffffffff\r\n42["a"]'],
    ['chunks that never end', CHUNKED, chunk('42["a"]')],
    ['chunks inside of another encoding', { 'transfer-encoding': 'gzip, chunked' }, chunk('42["a"]') + chunk('')],
  ];

  test.each(LIES)('%s', async (_name, headers, body) => {
    const pod = await shared();
    const session = await sessionOn(pod);
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(RawClient.request('POST', `transport=polling&sid=${session.sid}`, headers) + body);
    client.socket.end();
    await until('the connection to be closed', () => client.closed);
    const other = await sessionOn(pod);
    expect(await isServed(other)).toBe(true);
    expect(client.received.toString()).not.toMatch(/^HTTP\/1.1 5/);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('chunks without an end are cut off', async () => {
    const pod = await shared();
    const session = await sessionOn(pod);
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(RawClient.request('POST', `transport=polling&sid=${session.sid}`, CHUNKED));
    const part = chunk('x'.repeat(64 * 1024));
    let sent = 0;
    while (!client.closed && sent < 64 * 1024 * 1024) {
      await client.send(part);
      // A write to a closed socket comes back before the socket says that it is closed.
      await new Promise(setImmediate);
      sent += part.length;
    }
    await until('it to be cut off', () => client.closed);
    expect(sent).toBeLessThan(40 * 1024 * 1024);
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
    expect(await isServed(await sessionOn(pod))).toBe(true);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });
});
