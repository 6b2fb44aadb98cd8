import { afterAll, beforeAll, expect, test } from 'vitest';
import { HttpExchange } from '../support/http-exchange.js';
import { repeat } from '../support/hostile.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { WEBSOCKET } from '../support/strict-request.js';

const cleanup = new Cleanup();
let pod: Pod;

beforeAll(async () => {
  pod = await Pod.start(cleanup);
});

afterAll(() => cleanup.run());

const POLLING = '/socket.io/?EIO=4&transport=polling';
const JSON_TYPE = 'Content-Type: application/json\r\n';
const SIGNAL = JSON.stringify(signal(1));
const UPGRADE = Object.entries(WEBSOCKET).map(([name, value]) => `${name}: ${value}\r\n`);

/** A request, and the port that it goes to. */
type Case = readonly [what: string, port: 'public' | 'admin', requestLine: string, headers: string, body: string];

const CASES: readonly Case[] = [
  ['a poll', 'public', `GET ${POLLING}`, '', ''],
  ['a poll of no session', 'public', `GET ${POLLING}&sid=none`, '', ''],
  ['a POST of polling', 'public', `POST ${POLLING}&sid=none`, 'Content-Length: 2\r\n', '40'],
  ['a POST of polling with a body of length 0', 'public', `POST ${POLLING}&sid=none`, 'Content-Length: 0\r\n', ''],
  ['an upgrade', 'public', 'GET /socket.io/?EIO=4&transport=websocket', UPGRADE.join(''), ''],
  ['a preflight', 'public', `OPTIONS ${POLLING}`, 'Origin: https://a.example\r\n', ''],
  ['a path that is not there', 'public', 'GET /nothing', '', ''],
  ['HEAD of the dashboard', 'public', 'HEAD /', '', ''],
  ['a POST to the dashboard with a body of length 0', 'public', 'POST /dashboard/signals', 'Content-Length: 0\r\n', ''],
  ['a health check', 'admin', 'GET /healthz', '', ''],
  ['a signal', 'admin', 'POST /v1/signals', `${JSON_TYPE}Content-Length: ${SIGNAL.length}\r\n`, SIGNAL],
  ['a signal with a body of length 0', 'admin', 'POST /v1/signals', `${JSON_TYPE}Content-Length: 0\r\n`, ''],
  ['a signal without a body', 'admin', 'POST /v1/signals', JSON_TYPE, ''],
  [
    'a signal in chunks',
    'admin',
    'POST /v1/signals',
    `${JSON_TYPE}Transfer-Encoding: chunked\r\n`,
    `1\r\n{\r\n${(SIGNAL.length - 1).toString(16)}\r\n${SIGNAL.slice(1)}\r\n0\r\n\r\n`,
  ],
  ['a signal of no chunk', 'admin', 'POST /v1/signals', `${JSON_TYPE}Transfer-Encoding: chunked\r\n`, '0\r\n\r\n'],
];

/** ms for an answer: one that is missing does not come later either. */
const LIMIT = 5000;

async function statusOf(port: number, method: string, pieces: readonly Buffer[]): Promise<string> {
  const exchange = await HttpExchange.open(port);
  try {
    for (const [i, piece] of pieces.entries()) {
      // Long enough to be read by itself.
      if (i > 0) await exchange.idle(2);
      await exchange.send(piece);
    }
    const answer = await exchange.answer(method, LIMIT);
    return typeof answer === 'string' ? answer : String(answer.status);
  } finally {
    exchange.end('RST');
  }
}

test.each(CASES)('%s on the %s port is answered wherever the network cuts it in two', async (...row) => {
  const [, to, requestLine, headers, body] = row;
  const port = to === 'public' ? pod.port : pod.adminPort;
  const bytes = Buffer.from(`${requestLine} HTTP/1.1\r\nHost: gateway\r\n${headers}\r\n${body}`);
  const method = requestLine.split(' ')[0] ?? '';
  const whole = await statusOf(port, method, [bytes]);
  expect(whole).toMatch(/^\d{3}$/);
  const different: string[] = [];
  await repeat(bytes.length - 1, 20, async (i) => {
    const [first, second] = [bytes.subarray(0, i + 1), bytes.subarray(i + 1)];
    const status = await statusOf(port, method, [first, second]);
    if (status !== whole) different.push(`cut after ${i + 1} of ${bytes.length} bytes: ${status}`);
  });
  expect(different).toEqual([]);
});
