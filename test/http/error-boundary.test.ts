import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import { ErrorBoundary, FAULT_STAGES, type Fault, describeRequest } from '../../src/http/error-boundary.js';
import { GuardedApp } from '../../src/http/guarded-app.js';
import type { Refusal } from '../../src/http/guarded-response.js';
import { loadUws } from '../../src/http/uws.js';
import { WEBSOCKET_HEADERS } from '../support/http.js';
import { Cleanup, HOST } from '../support/processes.js';
import { rawRequest } from '../support/raw-http.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** What a handler throws. */
class Boom extends Error {}

/** An app of uWebSockets.js in this process whose handlers fail, and what became known of it. */
class FailingApp {
  readonly faults: Fault[] = [];
  readonly refusals: Refusal[] = [];
  readonly boundary = new ErrorBoundary((fault) => this.faults.push(fault));
  readonly app: GuardedApp;
  port = 0;
  readonly #native: TemplatedApp;

  constructor() {
    this.#native = loadUws().App();
    this.app = new GuardedApp(this.#native, {
      boundary: this.boundary,
      policy: { headers: (origin) => [['x-origin', origin]], onRefused: (refusal) => this.refusals.push(refusal) },
    });
    this.app.any('/fine', (res) => res.end('fine'));
  }

  async listen(): Promise<this> {
    this.port = await new Promise<number>((resolve, reject) => {
      this.#native.listen(HOST, 0, (token: us_listen_socket | false) => {
        if (token === false) reject(new Error('no port'));
        else resolve(loadUws().us_socket_local_port(token));
      });
    });
    cleanup.add(this, () => this.#native.close());
    return this;
  }

  /** Sends a request for a WebSocket, then these frames; resolves when the connection is closed. */
  async socketEnds(path: string, frames: readonly number[][]): Promise<void> {
    const socket = connect({ host: HOST, port: this.port });
    cleanup.add(socket, () => socket.destroy());
    socket.on('error', () => {});
    let received = '';
    socket.on('data', (data) => (received += data.toString('latin1')));
    const headers = Object.entries(WEBSOCKET_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${HOST}\r\n${headers.join('')}\r\n`);
    await until('the upgrade', () => received.includes(' 101 ') || socket.closed, { seen: () => received });
    for (const frame of frames) socket.write(Buffer.from(frame));
    await until('the connection to be closed', () => socket.closed, { seen: () => received });
  }

  /** What it answers to a request that no handler fails on. */
  async answer(): Promise<string> {
    const { status, body } = await rawRequest(this.port, [`GET /fine HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`]);
    return `${status} ${body}`;
  }
}

const HTTP: readonly (readonly [stage: string, register: (app: GuardedApp) => void])[] = [
  ['request', (app) => app.any('/fails', () => fail())],
  ['request', (app) => app.any('/fails', (res) => res.cork(() => fail()))],
  ['request', (app) => app.any('/fails', async () => Promise.reject(new Boom('later')))],
  ['body', (app) => app.any('/fails', (res) => res.onData(() => fail()))],
];

function fail(): never {
  throw new Boom('a handler failed');
}

test.each(HTTP)(
  'an error in a handler (%s) is answered with 500 in JSON, and reported once',
  async (stage, register) => {
    const failing = new FailingApp();
    register(failing.app);
    await failing.listen();
    const request = `POST /fails?token=secret&transport=polling HTTP/1.1\r\nhost: ${HOST}\r\norigin: https://a.example\r\ncontent-length: 2\r\n\r\nab`;
    const answer = await rawRequest(failing.port, [request]);
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'internal' });
    expect(answer.headers.get('x-origin')).toBe('https://a.example');
    expect(failing.faults).toHaveLength(1);
    expect(failing.faults[0]).toMatchObject({ stage, subject: 'POST /fails?token=...&transport=polling' });
    expect(failing.faults[0]?.error).toBeInstanceOf(Boom);
    expect(failing.refusals).toMatchObject([{ code: 'internal', status: 500 }]);
    expect(await failing.answer()).toBe('200 fine');
  },
);

test('an error after an answer has begun closes that connection, and nothing else', async () => {
  const failing = new FailingApp();
  failing.app.any('/fails', (res) => {
    res.writeStatus('200 OK').writeHeader('x', 'y');
    fail();
  });
  await failing.listen();
  const begun = rawRequest(failing.port, [`GET /fails HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`]);
  await expect(begun).rejects.toThrow('closed');
  expect(failing.faults).toMatchObject([{ stage: 'request' }]);
  expect(await failing.answer()).toBe('200 fine');
});

test('an error in what follows a client that went away is reported', async () => {
  const failing = new FailingApp();
  failing.app.any('/fails', (res) => res.onAborted(() => fail()));
  await failing.listen();
  const socket = connect({ host: HOST, port: failing.port });
  socket.write(`GET /fails HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`);
  await until('the request', () => failing.boundary.recent().length > 0);
  socket.destroy();
  await until('the fault', () => failing.faults.length > 0);
  expect(failing.faults).toMatchObject([{ stage: 'aborted' }]);
  expect(await failing.answer()).toBe('200 fine');
});

test('an answer that comes too late, or twice, does nothing', async () => {
  const failing = new FailingApp();
  failing.app.any('/twice', (res) => {
    res.end('once');
    res.writeStatus('500 Twice').writeHeader('x', 'y').end('twice');
    res.onData(() => {}).onAborted(() => {});
    res.cork(() => fail());
    expect(res.getRemoteAddressAsText().byteLength).toBe(0);
    res.refuse('not_found');
    res.close();
  });
  await failing.listen();
  const answer = await rawRequest(failing.port, [`GET /twice HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`]);
  expect([answer.status, answer.body]).toEqual([200, 'once']);
  expect(failing.faults).toEqual([]);
});

const MASKED_TEXT = [0x81, 0x81, 0, 0, 0, 0, 0x61];
const MASKED_PING = [0x89, 0x80, 0, 0, 0, 0];
const MASKED_PONG = [0x8a, 0x80, 0, 0, 0, 0];
const MASKED_CLOSE = [0x88, 0x80, 0, 0, 0, 0];

test.each([
  ['open', []],
  ['message', [MASKED_TEXT]],
  ['ping', [MASKED_PING, MASKED_PING]],
  ['pong', [MASKED_PONG]],
  ['close', [MASKED_CLOSE]],
  ['subscription', []],
] as const)('an error in the callback %s of a WebSocket closes that one', async (stage, frames) => {
  const failing = new FailingApp();
  failing.app.ws<object>('/fails', {
    open: (ws) => void ws.subscribe('x'),
    [stage]: () => fail(),
  });
  await failing.listen();
  await failing.socketEnds(
    '/fails',
    frames.map((frame) => [...frame]),
  );
  expect(failing.faults[0]).toMatchObject({ stage });
  expect(failing.faults[0]?.error).toBeInstanceOf(Boom);
  expect(await failing.answer()).toBe('200 fine');
});

test('an error while an upgrade is decided is answered with 500', async () => {
  const failing = new FailingApp();
  failing.app.ws<object>('/fails', { upgrade: () => fail() });
  await failing.listen();
  const headers = Object.entries(WEBSOCKET_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  const answer = await rawRequest(failing.port, [`GET /fails HTTP/1.1\r\nhost: ${HOST}\r\n${headers.join('')}\r\n`]);
  expect(answer.status).toBe(500);
  expect(failing.faults).toMatchObject([{ stage: 'upgrade', subject: 'GET /fails' }]);
  expect(await failing.answer()).toBe('200 fine');
});

test('a message that is dropped may fail, in the middle of a publish', async () => {
  const failing = new FailingApp();
  failing.app.ws<object>('/fails', {
    maxBackpressure: 1024,
    open: (ws) => void ws.subscribe('all'),
    dropped: () => fail(),
  });
  await failing.listen();
  const socket = connect({ host: HOST, port: failing.port });
  cleanup.add(socket, () => socket.destroy());
  socket.on('error', () => {});
  const headers = Object.entries(WEBSOCKET_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /fails HTTP/1.1\r\nhost: ${HOST}\r\n${headers.join('')}\r\n`);
  await until('the subscription', () => failing.app.numSubscribers('all') === 1);
  socket.pause();
  await until('a message to be dropped', () => {
    failing.app.publish('all', 'x'.repeat(100_000));
    return failing.faults.length > 0;
  });
  expect(failing.faults[0]).toMatchObject({ stage: 'dropped' });
  socket.resume();
  await until('the connection to be closed', () => socket.closed);
  expect(await failing.answer()).toBe('200 fine');
});

test('the last requests are remembered without what opens a session', async () => {
  const failing = await new FailingApp().listen();
  for (let i = 0; i < 20; i++) {
    await rawRequest(failing.port, [
      `GET /fine?EIO=4&transport=polling&sid=secret${i}&${'x'.repeat(300)} HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`,
    ]);
  }
  const recent = failing.boundary.recent();
  expect(recent.length).toBeLessThan(20);
  for (const line of recent) {
    expect(line).toMatch(/^GET \/fine\?EIO=4&transport=polling&sid=\.\.\.&\.\.\. \(\d+ ms ago\)$/);
    expect(line.length).toBeLessThan(300);
  }
});

test.each([
  ['/socket.io/', 'eyJhbGciOiJIUzI1NiJ9.eyJ.secret', 'GET /socket.io/?...'],
  [
    '/socket.io/',
    'token=secret&secret=1&EIO=secret&transport=secret',
    'GET /socket.io/?token=...&...=...&EIO=...&transport=...',
  ],
  ['/socket.io/EIO=4&sid=secret', '', 'GET /socket.io/EIO...'],
])('of %s?%s a log shows no secret', (path, query, shown) => {
  expect(describeRequest('get', path, query)).toBe(shown);
});

test('every stage of a fault has a name of its own', () => {
  expect(new Set(FAULT_STAGES).size).toBe(FAULT_STAGES.length);
});
