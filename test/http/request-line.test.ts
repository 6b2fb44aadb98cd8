import { afterEach, expect, test } from 'vitest';
import { type HttpAnswer, WEBSOCKET_HEADERS, httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { rawRequest } from '../support/raw-http.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PATHS = [
  '/',
  '/socket.io',
  '/socket.io/',
  '/socket.io/x',
  '/asyncapi.json',
  '/dashboard/info',
  '/dashboard/signals',
];
const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'MADEUP'];
const QUERIES = ['', '?', '?sid', '?sid=', '?=', '?&&', '?EIO', '?sid=x&sid=', '?%', '?transport=__proto__'];

test('a request line without a query, or with an odd one, ends no pod, whatever the path, the method and the transport', async () => {
  const pod = await Pod.start(cleanup);
  const staying = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const upgrade = Object.entries(WEBSOCKET_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  for (const query of QUERIES) {
    for (const path of PATHS) {
      for (const method of METHODS) {
        const line = `${method} ${path}${query} HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`;
        const { status } = await rawRequest(pod.port, [line]);
        expect([line, status]).toEqual([line, expect.toSatisfy((code: number) => code >= 200 && code < 500)]);
      }
      const line = `GET ${path}${query} HTTP/1.1\r\nhost: ${HOST}\r\n${upgrade.join('')}\r\n`;
      expect((await rawRequest(pod.port, [line])).status).toBeLessThan(500);
    }
  }
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => staying.signals.length === 1);
  expect(staying.disconnects).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  expect(pod.faults()).toEqual([]);
});

test('/socket.io without the slash is the same, over polling and over WebSocket', async () => {
  const pod = await Pod.start(cleanup);
  for (const transport of ['polling', 'websocket']) {
    const client = new FeedClient(cleanup, pod.url, { transports: [transport], addTrailingSlash: false });
    await client.welcomed();
    await pod.post('/v1/signals', signal(1));
    await until('the signal', () => client.signals.length > 0, { seen: () => client });
    expect(client.disconnects).toEqual([]);
  }
});

test('everything is below BASE_PATH, the page too, and nothing is beside it', async () => {
  const pod = await Pod.start(cleanup, { BASE_PATH: '/trading/feed' });
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    const client = new FeedClient(cleanup, pod.url, { path: '/trading/feed/socket.io/', transports });
    await client.welcomed();
  }
  const page = await httpRequest(`${pod.url}/trading/feed/`);
  expect(page.status).toBe(200);
  const assets = [...page.body.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path);
  expect(assets.length).toBeGreaterThanOrEqual(3);
  for (const asset of assets) {
    expect(asset).toMatch(/^\/trading\/feed\/dashboard\/assets\//);
    expect((await httpRequest(pod.url + asset)).status).toBe(200);
  }
  // The commonest mistake: the prefix left out. A page is to see what is wrong with it.
  const astray = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`, {
    headers: { origin: 'https://app.example.com' },
  });
  expect(astray.headers['access-control-allow-origin']).toBe('*');
  expect(JSON.parse(astray.body)).toMatchObject({ code: 'not_found' });
  expect((await httpRequest(`${pod.url}/trading/feed/asyncapi.json`)).status).toBe(200);
  expect((await httpRequest(`${pod.url}/trading/feed/dashboard/info`)).status).toBe(200);
  const bare = await httpRequest(`${pod.url}/trading/feed`);
  expect([bare.status, bare.headers['location']]).toEqual([308, '/trading/feed/']);
  const outside = [
    '/',
    '/socket.io/?EIO=4&transport=polling',
    '/asyncapi.json',
    '/dashboard/info',
    '/trading/',
    '/trading/feedsocket.io/',
  ];
  for (const path of outside) expect([path, (await httpRequest(pod.url + path)).status]).toEqual([path, 404]);
});

function head(pod: Pod, path: string): Promise<HttpAnswer> {
  return httpRequest(pod.url + path, { method: 'HEAD' });
}

test('HEAD never has a body, and methods that a path does not take are refused by name', async () => {
  const pod = await Pod.start(cleanup);
  for (const path of ['/', '/asyncapi.json', '/nothing', '/socket.io/', '/socket.io/?EIO=4&transport=polling&sid=x']) {
    const request = `HEAD ${path} HTTP/1.1\r\nhost: ${HOST}\r\n\r\nGET /asyncapi.json HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`;
    const both = await rawRequest(pod.port, [request]);
    // The second answer follows the first one's head at once.
    expect([path, both.body.startsWith('HTTP/1.1 200') || both.body === '']).toEqual([path, true]);
  }
  expect((await head(pod, '/')).status).toBe(200);
  const { body } = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse(body.slice(1)) as { sid: string };
  for (const method of ['HEAD', 'PUT', 'DELETE', 'PATCH', 'MADEUP']) {
    const answer = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, {
      method: method === 'MADEUP' ? 'PURGE' : method,
    });
    expect([method, answer.status, answer.headers['allow']]).toEqual([method, 405, 'GET, POST, OPTIONS']);
    expect(answer.body).toBe(method === 'HEAD' ? '' : '{"code":"method_not_allowed","message":"Method not allowed."}');
  }
  // The session lives on.
  expect(
    (await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', body: '40' }))
      .status,
  ).toBe(200);
});
