import { readdirSync } from 'node:fs';
import { request } from 'node:https';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Certificate } from '../../support/certificate.js';
import { FrameClient } from '../../support/frame-client.js';
import { WEBSOCKET_HEADERS, httpRequest } from '../../support/http.js';
import { Pod } from '../../support/pod.js';
import { Cleanup, HOST } from '../../support/processes.js';
import { until } from '../../support/until.js';

// A second WebSocket for a session that has one, or that is trying one out: the protocol says that it is ignored.

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** How it is closed: RFC 6455, section 7.4.1, and the code under which it is counted. */
const CLOSED = { code: 1008, reason: 'bad_request' };

/** How far a session on long-polling has come on its way to a WebSocket. */
const STATES = ['has opened a WebSocket', 'has had its probe answered', 'is on a WebSocket'] as const;
type State = (typeof STATES)[number];

const STEPS: Readonly<Record<State, readonly string[]>> = {
  'has opened a WebSocket': [],
  'has had its probe answered': ['2probe'],
  'is on a WebSocket': ['2probe', '5'],
};

interface Session {
  readonly sid: string;
  /** Its own WebSocket. */
  readonly first: FrameClient;
  /** What is left to do until it is served over that. */
  readonly rest: readonly string[];
}

async function sessionThat(state: State, pod: Pod, tls = false): Promise<Session> {
  const { body } = tls ? await overTls(pod) : await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse(body.slice(1)) as { sid: string };
  const first = await FrameClient.open(cleanup, pod, { sid, tls });
  const done = STEPS[state];
  for (const packet of done) first.send(packet);
  if (done.length > 0) await first.next();
  return { sid, first, rest: STEPS['is on a WebSocket'].slice(done.length) };
}

/** A handshake over TLS, with whatever certificate. */
function overTls(pod: Pod): Promise<{ body: string }> {
  return new Promise((resolve, reject) => {
    const url = `https://${HOST}:${pod.port}/socket.io/?EIO=4&transport=polling`;
    request(url, { rejectUnauthorized: false, agent: false }, (answer) => {
      let body = '';
      answer.on('data', (part: Buffer) => (body += part.toString()));
      answer.on('end', () => resolve({ body }));
    })
      .on('error', reject)
      .end();
  });
}

/** Finishes the upgrade, if it is not finished, and waits until the first WebSocket is served. */
async function isServed({ first, rest }: Session): Promise<boolean> {
  first.send(...rest, '40', '421["subscribe",["A"]]');
  return until('the session to be served', () => first.messages.includes('431[{"ok":true,"topics":["A"]}]'), {
    seen: () => first,
  });
}

function refusals(pod: Pod): Promise<number> {
  return pod.metric('gateway_refusals_total', { reason: 'bad_request' });
}

describe.each([
  ['plain', false],
  ['TLS', true],
])('over %s', (_name, tls) => {
  const started = new Cleanup();
  let pod: Pod;
  beforeAll(async () => {
    const certificate = tls ? new Certificate(started, 'gateway') : undefined;
    const files = certificate === undefined ? {} : { TLS_CERT: certificate.certFile, TLS_KEY: certificate.keyFile };
    pod = await Pod.start(started, files);
  });
  afterAll(() => started.run());

  test.each(STATES)('of a session that %s is opened and closed with a reason, and is refused', async (state) => {
    await until('no session to be left', async () => (await pod.metric('gateway_sessions')) === 0);
    const before = await refusals(pod);
    const session = await sessionThat(state, pod, tls);
    const second = await FrameClient.open(cleanup, pod, { sid: session.sid, tls });
    expect(await second.closed()).toEqual(CLOSED);
    expect([second.error, second.messages]).toEqual([undefined, []]);
    expect(await refusals(pod)).toBe(before + 1);
    const line = await until('the line in the log', () => pod.logs().find(({ reason }) => reason === 'bad_request'));
    expect(line).toMatchObject({ level: 40, status: 101, address: HOST, msg: 'refused a client' });
    expect(JSON.stringify(line)).not.toContain(session.sid);
    expect(await isServed(session)).toBe(true);
    expect(await pod.metric('gateway_sessions')).toBe(1);
    expect(pod.faults()).toEqual([]);
  });
});

test.each(STATES)('of a session that %s is not read, whatever it sends', async (state) => {
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000' });
  const session = await sessionThat(state, pod);
  const packets = ['2probe', '5', '40', '42["subscribe",["B"]]', '1', `4${'x'.repeat(60_000)}`, Buffer.alloc(2000)];
  for (const packet of packets) {
    const second = FrameClient.request(cleanup, pod, { sid: session.sid });
    // Behind the request, before it is answered.
    second.send(packet, packet);
    // What it has not read makes the kernel reset a connection, so only what has come is looked at.
    await until('the second one to be over', () => second.isEnded, { seen: () => second });
    expect(second.messages).toEqual([]);
  }
  expect(await isServed(session)).toBe(true);
  expect(session.first.messages.filter((message) => String(message).startsWith('43'))).toHaveLength(1);
  expect(pod.faults()).toEqual([]);
});

test('of a foreign origin is refused as every request of it is, and tells nothing of the session', async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: 'https://app.example.com' });
  const session = await sessionThat('is on a WebSocket', pod);
  for (const sid of [session.sid, 'none']) {
    const url = `${pod.url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`;
    const headers = { ...WEBSOCKET_HEADERS, origin: 'https://evil.example.org' };
    expect((await httpRequest(url, { headers })).status).toBe(403);
  }
  expect(await isServed(session)).toBe(true);
});

test('takes the place of no client, and leaves none behind', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '2', MAX_CONNECTIONS_PER_IP: '2' });
  const session = await sessionThat('is on a WebSocket', pod);
  for (let i = 0; i < 5; i++) {
    const second = await FrameClient.open(cleanup, pod, { sid: session.sid });
    expect(await second.closed()).toEqual(CLOSED);
  }
  const other = await FrameClient.open(cleanup, pod);
  expect(await other.next()).toMatch(/^0\{"sid":/);
  expect(await isServed(session)).toBe(true);
  session.first.send('1');
  await session.first.closed();
  await FrameClient.open(cleanup, pod);
  expect(await pod.metric('gateway_sessions')).toBe(2);
});

test('comes a thousand times, is given up or reset, and costs no session, no file and few lines of the log', async () => {
  const pod = await Pod.start(cleanup);
  const files = (): number => readdirSync(`/proc/${pod.child.process.pid}/fd`).length;
  const session = await sessionThat('is on a WebSocket', pod);
  const before = files();
  for (let round = 0; round < 10; round++) {
    const clients = Array.from({ length: 100 }, (_, i) =>
      FrameClient.request(cleanup, pod, { sid: session.sid, allowHalfOpen: i % 3 === 0 }),
    );
    for (const client of clients.filter((_, i) => i % 3 === 1)) client.send('2probe', '5');
    for (const client of clients.filter((_, i) => i % 3 === 2)) client.socket.resetAndDestroy();
    // Those that do not end their side are told all the same.
    await until('all to be over', () => clients.every(({ isEnded, socket }) => isEnded || socket.destroyed));
    for (const client of clients) client.socket.destroy();
  }
  expect(await isServed(session)).toBe(true);
  expect(await pod.metric('gateway_sessions')).toBe(1);
  await until('their files to be closed', () => files() <= before, { seen: files });
  expect(pod.logs().filter(({ reason }) => reason === 'bad_request').length).toBeLessThan(10);
  expect(pod.faults()).toEqual([]);
});
