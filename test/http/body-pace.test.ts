import { connect } from 'node:net';
import { expect } from 'vitest';
import { test } from '../support/own-cleanup.js';
import { Pod } from '../support/pod.js';
import { HOST } from '../support/processes.js';
import { postHead, rawRequest } from '../support/raw-http.js';
import { signal } from '../support/signals.js';
import { slowLine } from '../support/slow-line.js';

const LENGTH = { 'content-length': '100000' };
const CHUNKED = { 'transfer-encoding': 'chunked' };

function batchOf(bytes: number): string {
  const one = JSON.stringify(signal(1, { pad: 'x'.repeat(900) }));
  return `[${Array.from({ length: Math.ceil(bytes / one.length) }, () => one).join(',')}]`;
}

function post(url: string, body: string): Promise<Response> {
  return fetch(`${url}/v1/signals`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'a body that stops coming is answered with 408 and a code, and its connection is closed',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    const [, token = ''] = (await pod.dashboardLink()).split('#publish=');
    const authorization = `Bearer ${token}`;
    const whole = JSON.stringify(signal(1));
    const answers = await Promise.all([
      rawRequest(pod.adminPort, [postHead('/v1/signals', LENGTH)]),
      rawRequest(pod.adminPort, [postHead('/v1/signals', LENGTH), whole]),
      rawRequest(pod.adminPort, [postHead('/v1/signals', CHUNKED)]),
      rawRequest(pod.adminPort, [postHead('/v1/signals', CHUNKED), `${whole.length.toString(16)}\r\n${whole}\r\n`]),
      rawRequest(pod.adminPort, [postHead('/v1/status', LENGTH), '{']),
      rawRequest(pod.adminPort, [postHead('/v1/disconnect', { 'content-length': '1000' }), '{']),
      // Of one that is too long too, while the rest of it is being read.
      rawRequest(pod.adminPort, [postHead('/v1/disconnect', CHUNKED), `1400\r\n${'x'.repeat(0x1400)}\r\n`]),
      rawRequest(pod.port, [postHead('/dashboard/signals', { 'content-length': '1000', authorization }), '{']),
    ]);
    for (const { status, headers, body } of answers) {
      expect([status, headers.get('content-type'), headers.get('connection')]).toEqual([
        408,
        'application/problem+json',
        'close',
      ]);
      expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'request_timeout' });
    }
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(0);
  },
  90_000,
);

test.concurrent(
  'a body that is slow is taken, also where uWebSockets.js alone would cut it',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    // 100 KiB in 14 s: it wants 160 KiB within 12 s. And 400 KiB at what is wanted here of a long one, and somewhat more.
    const [short, long] = await Promise.all([
      post(await slowLine(cleanup, pod.adminPort, 7 * 1024), batchOf(100 * 1024)),
      post(await slowLine(cleanup, pod.adminPort, 20 * 1024), batchOf(500 * 1024)),
    ]);
    expect([short.status, long.status]).toEqual([202, 202]);
  },
  90_000,
);

test.concurrent(
  'whoever goes away in the middle of a slow body leaves nothing behind',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup);
    for (let i = 0; i < 50; i++) {
      const socket = connect({ host: HOST, port: pod.adminPort }, () => {
        socket.write(`${postHead('/v1/signals', i % 2 === 0 ? LENGTH : CHUNKED)}[`, () => socket.resetAndDestroy());
      });
    }
    // It is answered later than the watch over any of theirs would have ended.
    const { status } = await rawRequest(pod.adminPort, [postHead('/v1/signals', LENGTH)]);
    expect(status).toBe(408);
    expect([pod.faults(), (await post(pod.adminUrl, batchOf(1))).status]).toEqual([[], 202]);
  },
  90_000,
);
