import { afterEach, expect, test } from 'vitest';
import { type HttpAnswer, WEBSOCKET_HEADERS, httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const GOOD = 'https://app.example.com';
const ALSO_GOOD = 'http://localhost:5173';
const FOREIGN = 'https://evil.example.org';

function polling(pod: Pod, headers: Record<string, string> = {}): Promise<HttpAnswer> {
  return httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`, { headers });
}

function websocket(pod: Pod, headers: Record<string, string> = {}): Promise<HttpAnswer> {
  return httpRequest(`${pod.url}/socket.io/?EIO=4&transport=websocket`, {
    headers: { ...WEBSOCKET_HEADERS, ...headers },
  });
}

test('a listed origin, and a client without one, may connect over polling and over WebSocket', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: `${GOOD}, ${ALSO_GOOD}` });
  for (const headers of [{ origin: GOOD }, { origin: ALSO_GOOD }, { origin: GOOD.toUpperCase() }, {}]) {
    expect((await polling(pod, headers)).status).toBe(200);
    expect((await websocket(pod, headers)).status).toBe(101);
  }
  for (const transport of ['websocket', 'polling']) {
    const client = await FeedClient.connect(cleanup, pod.url, {
      transports: [transport],
      extraHeaders: { origin: GOOD },
    });
    expect(client.socket.connected).toBe(true);
  }
});

test('a wildcard stands for every name below a domain, and for nothing else', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: 'https://*.example.com,https://example.org' });
  for (const origin of ['https://a.example.com', 'https://a.b-c.EXAMPLE.com', 'https://example.org']) {
    expect([origin, (await polling(pod, { origin })).status]).toEqual([origin, 200]);
    expect((await polling(pod, { origin })).headers['access-control-allow-origin']).toBe(origin);
  }
  const foreign = [
    'https://example.com',
    'https://.example.com',
    'https://evilexample.com',
    'http://a.example.com',
    'https://a.example.com.evil.org',
    'https://a.example.com:8443',
    'https://evil.org/.example.com',
    'https://evil.org:1.example.com',
    'https://user@.example.com',
    'https://a..example.com',
    'https://a.example.org',
  ];
  for (const origin of foreign) {
    expect([origin, (await websocket(pod, { origin })).status]).toEqual([origin, 403]);
  }
});

test('a foreign origin is refused with 403 and a JSON body, over polling and over WebSocket alike', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: GOOD });
  const foreign = [FOREIGN, 'null', `${GOOD}.evil.example.org`, `${GOOD}:8443`, 'http://app.example.com', `${GOOD}/`];
  for (const origin of foreign) {
    for (const answer of [await polling(pod, { origin }), await websocket(pod, { origin })]) {
      expect(answer.status).toBe(403);
      expect(answer.headers['content-type']).toBe('application/json');
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      expect(JSON.parse(answer.body)).toEqual({ code: 'origin', message: 'This origin is not allowed.' });
    }
  }
  expect(await pod.metric('gateway_refusals_total', { reason: 'origin' })).toBe(foreign.length * 2);
  expect(await pod.metric('gateway_sessions')).toBe(0);
});

test('a session of a listed origin cannot be used from another origin', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: GOOD });
  const { sid } = JSON.parse((await polling(pod, { origin: GOOD })).body.slice(1)) as { sid: string };
  const url = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  expect((await httpRequest(url, { headers: { origin: FOREIGN } })).status).toBe(403);
  expect((await httpRequest(url, { method: 'POST', body: '40', headers: { origin: FOREIGN } })).status).toBe(403);
  expect((await httpRequest(url, { method: 'POST', body: '40', headers: { origin: GOOD } })).status).toBe(200);
});

test('polling responses and preflights carry the headers that let a page of a listed origin read them', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: `${GOOD},${ALSO_GOOD}` });
  for (const origin of [GOOD, ALSO_GOOD]) {
    const { headers } = await polling(pod, { origin });
    expect(headers['access-control-allow-origin']).toBe(origin);
    expect(headers['access-control-allow-credentials']).toBe('true');
    expect(headers['vary']).toBe('Origin');
  }
  const preflight = (origin: string): Promise<HttpAnswer> =>
    httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });
  const good = await preflight(GOOD);
  expect(good.status).toBe(204);
  expect(good.headers).toMatchObject({
    'access-control-allow-origin': GOOD,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': 'Content-Type, Authorization',
    vary: 'Origin',
  });
  const foreign = await preflight(FOREIGN);
  expect(foreign.headers['access-control-allow-origin']).toBeUndefined();
  expect(foreign.headers['access-control-allow-credentials']).toBeUndefined();
});

test('without a list every origin may connect, and none of them with credentials', async () => {
  const pod = await Pod.start(cleanup);
  const answer = await polling(pod, { origin: FOREIGN });
  expect(answer.status).toBe(200);
  expect(answer.headers['access-control-allow-origin']).toBe('*');
  expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
  expect((await websocket(pod, { origin: FOREIGN })).status).toBe(101);
});

test('over MAX_CONNECTIONS new clients get 503 with Retry-After until somebody leaves; those inside are not disturbed', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '2' });
  const staying = await FeedClient.connect(cleanup, pod.url, { transports: ['polling', 'websocket'] });
  const leaving = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });

  for (const answer of [await polling(pod), await websocket(pod)]) {
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('5');
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'max_connections' });
  }
  expect(await pod.metric('gateway_refusals_total', { reason: 'max_connections' })).toBe(2);
  const waiting = new FeedClient(cleanup, pod.url, { transports: ['polling'] });
  await until('the third client to be refused', async () => (await pod.metric('gateway_refusals_total')) > 2);
  expect(waiting.welcomes).toEqual([]);

  leaving.socket.disconnect();
  await waiting.welcomed();
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => staying.signals.length === 1 && waiting.signals.length === 1, {
    seen: () => [staying, waiting],
  });
  expect(staying.disconnects).toEqual([]);
});

test('origins of apps and extensions, and null, are allowed exactly as they are listed', async () => {
  const listed = [
    'capacitor://localhost',
    'ionic://localhost',
    'tauri://localhost',
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
    'app://.',
    'file://',
    'null',
    'https://xn--mnchen-3ya.example',
  ];
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: `${listed.slice(0, -1).join()},https://münchen.example` });
  for (const origin of [...listed, 'https://xn--mnchen-3ya.example:443']) {
    const answer = await polling(pod, { origin });
    expect([origin, answer.status]).toEqual([origin, 200]);
    expect(answer.headers['access-control-allow-origin']).toBe(origin);
    expect(answer.headers['access-control-allow-credentials']).toBe('true');
    expect((await websocket(pod, { origin })).status).toBe(101);
  }
  const foreign = ['capacitor://localhost:1', 'http://localhost', 'app://..', 'chrome-extension://abc', 'nul', 'file:'];
  for (const origin of foreign) expect([origin, (await websocket(pod, { origin })).status]).toEqual([origin, 403]);
  const cautious = await Pod.start(cleanup, { CORS_ORIGIN: GOOD });
  const refused = await polling(cautious, { origin: 'null' });
  expect(refused.status).toBe(403);
  expect(refused.headers['access-control-allow-credentials']).toBeUndefined();
});

test("React Native on Android, which sends the gateway's own address, is let in where that host is listed", async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: `${GOOD},https://feed.example.com,https://*.example.org` });
  const own = [
    ['https://feed.example.com', 'feed.example.com'],
    // What it makes of wss://feed.example.com:443, of ws://, of another port, and what its older versions send.
    ['https://feed.example.com:443', 'feed.example.com'],
    ['http://feed.example.com', 'feed.example.com'],
    ['http://feed.example.com:3000', 'feed.example.com:3000'],
    ['https://feed.example.com/', 'feed.example.com'],
    ['https://Feed.example.com', 'feed.EXAMPLE.com:443'],
    ['http://feed.example.org:3000', 'feed.example.org:3000'],
  ] as const;
  for (const [origin, host] of own) {
    expect([origin, (await websocket(pod, { origin, host })).status]).toEqual([origin, 101]);
    expect((await polling(pod, { origin, host })).headers['access-control-allow-origin']).toBe(origin);
  }
  const foreign = [
    // Whoever points a name of his own at this address names himself too.
    ['http://rebound.example:3000', 'rebound.example:3000'],
    ['http://127.0.0.1:3000', '127.0.0.1:3000'],
    ['http://feed.example.com:3000', 'feed.example.com:3001'],
    ['http://feed.example.com:3000', 'rebound.example'],
    ['http://feed.example.com', ''],
    ['http://user@feed.example.com', 'feed.example.com'],
    ['http://feed.example.com.evil.example', 'feed.example.com.evil.example'],
    ['ftp://feed.example.com', 'feed.example.com'],
  ] as const;
  for (const [origin, host] of foreign) {
    expect([origin, (await websocket(pod, { origin, host })).status]).toEqual([origin, 403]);
  }
});

test('a refused origin is logged unchanged, once, however often it tries', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: GOOD });
  for (let i = 0; i < 20; i++) await polling(pod, { origin: FOREIGN });
  await websocket(pod, { origin: 'null' });
  const lines = await until('the lines', () => {
    const found = pod.logs().filter(({ msg }) => msg === 'refused a client');
    return found.length > 1 && found;
  });
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatchObject({ reason: 'origin', origin: FOREIGN });
  expect(lines[1]).toMatchObject({ reason: 'origin', origin: 'null' });
});
