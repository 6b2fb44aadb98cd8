import { afterEach, describe, expect, test } from 'vitest';
import { type ConnectErrorCode, connectErrorSchema } from '../../src/contract/connect.js';
import { REFUSALS, type RefusalCode, TOKEN_ERRORS } from '../../src/errors.js';
import { type HttpAnswer, WEBSOCKET_HEADERS, httpRequest } from '../support/http.js';
import { SECRET, claims, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { PollingSession } from '../support/polling-session.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Transport = 'polling' | 'websocket';

function ask(pod: Pod, transport: Transport, forwarded?: string): Promise<HttpAnswer> {
  return httpRequest(`${pod.url}/socket.io/?EIO=4&transport=${transport}`, {
    headers: {
      ...(transport === 'websocket' ? WEBSOCKET_HEADERS : {}),
      ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }),
    },
  });
}

function expectRefused(answer: HttpAnswer, code: RefusalCode): void {
  const { status, message, retryAfter }: { status: number; message: string; retryAfter?: number } = REFUSALS[code];
  expect([answer.status, JSON.parse(answer.body)]).toEqual([status, { code, message }]);
  expect(answer.headers['retry-after']).toBe(retryAfter === undefined ? undefined : String(retryAfter));
  expect(answer.headers['content-type']).toBe('application/json');
  // A page has to be able to read it, unless it is of a foreign origin.
  expect(answer.headers['access-control-allow-origin']).toBe(code === 'origin' ? undefined : '*');
}

/** Every refusal before any work is done but `stopping`: what brings it about. */
const TABLE: readonly {
  readonly code: Exclude<RefusalCode, 'stopping'>;
  readonly env: Readonly<Record<string, string>>;
  /** Clients that come first and are taken. */
  readonly taken: number;
  readonly headers?: Readonly<Record<string, string>>;
}[] = [
  { code: 'origin', env: { CORS_ORIGIN: 'https://a.example' }, taken: 0, headers: { origin: 'https://b.example' } },
  { code: 'headers_too_large', env: { MAX_HEADER_BYTES: '4096' }, taken: 0, headers: { cookie: 'c'.repeat(4096) } },
  { code: 'memory', env: { MEMORY_LIMIT: '33554432', MAX_MEMORY_PERCENT: '50' }, taken: 0 },
  { code: 'max_connections', env: { MAX_CONNECTIONS: '2' }, taken: 2 },
  { code: 'max_connections_per_ip', env: { MAX_CONNECTIONS_PER_IP: '2' }, taken: 2 },
  { code: 'connect_rate', env: { MAX_CONNECTS_PER_SECOND: '2' }, taken: 2 },
  { code: 'connect_rate_per_ip', env: { MAX_CONNECTS_PER_SECOND_PER_IP: '2' }, taken: 2 },
];

describe('each refusal', () => {
  test('has a row in this table, or a test of its own', () => {
    expect([...TABLE.map(({ code }) => code), 'recovery_unavailable', 'stopping'].toSorted()).toEqual(
      Object.keys(REFUSALS).toSorted(),
    );
  });

  test.each(TABLE)('$code: its status and code for the client, its count for the operator', async (row) => {
    const pod = await Pod.start(cleanup, row.env, { ready: row.code !== 'memory' });
    // They join: a session on long-polling that has not takes no place.
    for (let i = 0; i < row.taken; i++) await PollingSession.open(pod);
    // At once, so that a rate can not let them in one after the other.
    const requests = (['polling', 'websocket'] as const).flatMap((transport) =>
      Array.from({ length: 5 }, () =>
        httpRequest(`${pod.url}/socket.io/?EIO=4&transport=${transport}`, {
          headers: { ...(transport === 'websocket' ? WEBSOCKET_HEADERS : {}), ...row.headers },
        }),
      ),
    );
    const refused = (await Promise.all(requests)).filter(({ status }) => status !== 200 && status !== 101);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) expectRefused(answer, row.code);
    expect(await pod.metric('gateway_refusals_total', { reason: row.code })).toBe(refused.length);
    expect(await pod.metric('gateway_refusals_total')).toBe(refused.length);
  });
});

/** Every `connect_error` that is not about a token: what brings it about. */
const CONNECT_ERRORS: readonly (readonly [ConnectErrorCode, string])[] = [
  ['invalid_topics', '40{"topics":"A"}'],
  ['too_many_topics', `40${JSON.stringify({ topics: Array.from({ length: 1025 }, (_, i) => `S${i}`) })}`],
  ['topics_not_allowed', '40{"token":"…","topics":["*"]}'],
  ['already_connected', '40{"token":"…"}\x1e40{"token":"…"}'],
  ['payload_too_large', `40${JSON.stringify({ topics: ['x'.repeat(1024 * 1024)] })}`],
];

describe('each refusal of a client that is already connected over Engine.IO', () => {
  test('has a row in this table, or is about its token', () => {
    const codes = connectErrorSchema.shape.data.shape.code.options.filter((code) => !(code in TOKEN_ERRORS));
    expect(CONNECT_ERRORS.map(([code]) => code).toSorted()).toEqual(codes.toSorted());
  });

  test.each(CONNECT_ERRORS)('%s: its code for the client, its count for the operator', async (code, packets) => {
    const needsToken = packets.includes('"token"');
    const pod = await Pod.start(cleanup, needsToken ? { AUTH: 'jwt', JWT_SECRET: SECRET } : {});
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    const sid = await client.handshake();
    await client.post(sid, packets.replaceAll('…', await secretToken(claims({ topics: ['A'] }))));
    const got: string[] = [];
    await until(
      'the refusal',
      async () => {
        const { body } = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
        got.push(...body.split('\x1e').filter((packet) => packet.startsWith('44')));
        return got.length > 0;
      },
      { seen: () => got },
    );
    expect(got.map((packet) => JSON.parse(packet.slice(2)) as unknown)).toEqual([
      { message: expect.stringMatching(/./) as string, data: { code } },
    ]);
    expect(await pod.metric('gateway_refusals_total', { reason: code })).toBe(1);
    expect(await pod.metric('gateway_refusals_total')).toBe(1);
  });
});

test('a pod that is short of memory says so, and takes clients again with more of it', async () => {
  const short = await Pod.start(cleanup, { MEMORY_LIMIT: '33554432', MAX_MEMORY_PERCENT: '50' }, { ready: false });
  await short.notReady('overloaded');
  expect(await short.metric('gateway_memory_share')).toBeGreaterThan(0.5);
  const roomy = await Pod.start(cleanup, { MEMORY_LIMIT: '33554432', MAX_MEMORY_PERCENT: '0' });
  expect((await ask(roomy, 'polling')).status).toBe(200);
});

test('a pod short of memory refuses more topics to connected clients, and sends away those that wait to join', async () => {
  const pod = await Pod.start(cleanup, { MEMORY_LIMIT: '250000000', MAX_MEMORY_PERCENT: '90' });
  const honest = await FeedClient.connect(cleanup, pod.url, {
    transports: ['websocket'],
    auth: { topics: ['A', 'B'] },
  });
  const open = async (): Promise<RawClient> => {
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.open();
    return client;
  };
  const clients: RawClient[] = [];
  for (let i = 0; i < 400; i++) {
    const client = await open();
    await client.send(RawClient.frame('40'));
    clients.push(client);
  }
  const waiting = await open();
  // Some 700 bytes each, of which the client has sent seven.
  for (const [i, client] of clients.entries()) {
    const topics = Array.from({ length: 1024 }, (_, n) => `${i.toString(36)}-${n.toString(36)}`);
    await client.send(RawClient.frame(`420["subscribe",${JSON.stringify(topics)}]`));
  }
  for (const client of clients) await client.take('430[{"ok":');
  expect(await pod.metric('gateway_subscribes_total', { result: 'ok' })).toBeGreaterThan(10);
  expect(await pod.metric('gateway_subscribes_total', { result: 'unavailable' })).toBeGreaterThan(10);
  // Four hundred times these topics would be one and a half times the limit.
  expect(await pod.metric('gateway_memory_share')).toBeLessThan(1.1);
  await waiting.send(RawClient.frame('40'));
  await until('it to be sent away', () => waiting.closed);
  expect(await pod.metric('gateway_refusals_total', { reason: 'memory' })).toBe(1);
  // Fewer topics are no harm.
  expect(await honest.socket.timeout(5000).emitWithAck('subscribe', ['A'])).toEqual({ ok: true, topics: ['A'] });
  await pod.post('/v1/signals', signal(1, { symbol: 'A' }));
  await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
});

test('the limit of one address counts clients, frees what has left, and is not that of another address', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '2', TRUST_PROXY: '127.0.0.0/8' });
  const from = (address: string): Promise<FeedClient> =>
    FeedClient.connect(cleanup, pod.url, {
      transports: ['polling', 'websocket'],
      extraHeaders: { 'x-forwarded-for': address },
    });
  const [first] = [await from('192.0.2.1'), await from('192.0.2.1'), await from('192.0.2.2')];
  expectRefused(await ask(pod, 'websocket', '192.0.2.1'), 'max_connections_per_ip');
  // What the client itself put in front of the proxy's word is not believed.
  expectRefused(await ask(pod, 'websocket', '198.51.100.9, 192.0.2.1'), 'max_connections_per_ip');
  expect((await ask(pod, 'polling', '192.0.2.1, 192.0.2.3')).status).toBe(200);
  first.socket.disconnect();
  await until('room', async () => (await ask(pod, 'websocket', '192.0.2.1')).status === 101);
  // One customer has a whole network of IPv6 addresses.
  await from('2001:db8:1:2::1');
  await from('2001:db8:1:2:ffff::9');
  expectRefused(await ask(pod, 'polling', '2001:DB8:1:2::7'), 'max_connections_per_ip');
  expect((await ask(pod, 'polling', '2001:db8:1:3::1')).status).toBe(200);
  await from('::ffff:192.0.2.77');
  await from('192.0.2.77');
  expectRefused(await ask(pod, 'polling', '192.0.2.77'), 'max_connections_per_ip');
});

test.each([
  ['nobody is believed by default', {}, '192.0.2.'],
  ['a proxy that is not named is not believed', { TRUST_PROXY: '10.0.0.0/8' }, '192.0.2.'],
  ['an invalid address gives nobody a new name', { TRUST_PROXY: 'loopback' }, 'client-'],
])('%s', async (_name, env: Record<string, string>, prefix) => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '3', ...env });
  const answers = [];
  for (let i = 1; i <= 5; i++) answers.push((await ask(pod, 'polling', `${prefix}${i}`)).status);
  expect(answers).toEqual([200, 200, 200, 429, 429]);
});

test('the header line that a proxy adds counts, next to the line that the client made up', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '1', TRUST_PROXY: '1' });
  const answers: string[] = [];
  for (const [i, transport] of (['websocket', 'polling', 'websocket', 'polling'] as const).entries()) {
    const client = await RawClient.connect(pod.port);
    cleanup.add(client, () => client.socket.destroy());
    const request = transport === 'websocket' ? RawClient.upgrade() : RawClient.request('GET', 'transport=polling');
    const lines = `x-forwarded-for: 198.51.100.${i}\r\nX-Forwarded-For: 192.0.2.1\r\n`;
    await client.send(request.replace('\r\n\r\n', `\r\n${lines}\r\n`));
    answers.push((await client.take('\r\n')).trim());
  }
  expect(answers.map((answer) => answer.split(' ')[1])).toEqual(['101', '429', '429', '429']);
});

test('an empty line that a client sends does not hide the line of the proxy', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '1', TRUST_PROXY: '1' });
  const answers: string[] = [];
  for (const [transport, address] of [
    ['websocket', '192.0.2.1'],
    ['polling', '192.0.2.1'],
    ['websocket', '192.0.2.2'],
    ['polling', '192.0.2.3'],
  ] as const) {
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    const request = transport === 'websocket' ? RawClient.upgrade() : RawClient.request('GET', 'transport=polling');
    const lines = `x-forwarded-for:\r\nX-Forwarded-For: ${address}:51234\r\n`;
    await client.send(request.replace('\r\n\r\n', `\r\n${lines}\r\n`));
    answers.push((await client.take('\r\n')).trim().split(' ')[1] ?? '');
  }
  expect(answers).toEqual(['101', '429', '101', '200']);
});

describe('clients whose proxy writes ports and brackets are one each, however their addresses are written', () => {
  test.each([
    ['by hops', { TRUST_PROXY: '1' }],
    ['by networks', { TRUST_PROXY: 'loopback' }],
  ])('%s', async (_name, env: Record<string, string>) => {
    const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '1', ...env });
    const status = async (transport: Transport, address: string): Promise<number> =>
      (await ask(pod, transport, address)).status;
    expect(await status('polling', '203.0.113.5:51234')).toBe(200);
    expect(await status('polling', '203.0.113.6:40000')).toBe(200);
    expect(await status('polling', '203.0.113.5:9')).toBe(429);
    expect(await status('websocket', '"203.0.113.5:10"')).toBe(429);
    expect(await status('polling', '[2001:db8::1]:443')).toBe(200);
    expect(await status('polling', '"[2001:db8:1::1]:443"')).toBe(200);
    expect(await status('websocket', '2001:db8::2')).toBe(429);
    // Of its own to a WebSocket client too, whose count is taken when it has been let in.
    const held = await FeedClient.connect(cleanup, pod.url, {
      transports: ['websocket'],
      extraHeaders: { 'x-forwarded-for': '[2001:db8:2::1]:9' },
    });
    expect(await status('polling', '[2001:db8:2::1]:10')).toBe(429);
    held.socket.disconnect();
    await until('room', async () => (await status('polling', '2001:db8:2::1')) === 200);
  });
});

test('an address with a zone, which no other machine knows, ends nothing and is nobody', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '1', TRUST_PROXY: '1' });
  const answers = [];
  for (const address of ['fe80::1%a', 'fe80::1%eth0', '::1%', '%'])
    answers.push((await ask(pod, 'polling', address)).status);
  expect(answers).toEqual([200, 429, 429, 429]);
});

test('with hops trusted, the address is the one that the outermost trusted proxy saw', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS_PER_IP: '1', TRUST_PROXY: '2' });
  expect((await ask(pod, 'polling', 'made-up, 192.0.2.1, 10.0.0.1')).status).toBe(200);
  expectRefused(await ask(pod, 'polling', '198.51.100.1, 192.0.2.1, 10.0.0.2'), 'max_connections_per_ip');
  expect((await ask(pod, 'polling', '192.0.2.1, 192.0.2.9, 10.0.0.1')).status).toBe(200);
});

test('rates let a second worth in at once, refuse the rest without counting it, and let in again', async () => {
  const pod = await Pod.start(cleanup, {
    MAX_CONNECTS_PER_SECOND: '20',
    MAX_CONNECTS_PER_SECOND_PER_IP: '5',
    TRUST_PROXY: '1',
  });
  const answers = await Promise.all(Array.from({ length: 30 }, () => ask(pod, 'polling', '192.0.2.1')));
  const codes = answers.map(({ status, body }) =>
    status === 200 ? 'ok' : (JSON.parse(body) as { code: string }).code,
  );
  expect(codes.filter((code) => code === 'ok').length).toBeGreaterThanOrEqual(5);
  expect(codes).toContain('connect_rate_per_ip');
  // The flood of one address has not used up what there is for all.
  expect(codes).not.toContain('connect_rate');
  expect((await ask(pod, 'polling', '192.0.2.2')).status).toBe(200);
  await until('room again', async () => (await ask(pod, 'polling', '192.0.2.1')).status === 200);
});

describe('a client that floods is cut, alone', () => {
  const FLOODS: readonly [string, string, Record<string, string>, (client: RawClient) => Promise<void>][] = [
    [
      'events',
      'messages',
      {},
      async (client) => {
        for (let i = 0; i < 500 && !client.closed; i++) await client.send(RawClient.frame('42["noise"]'));
      },
    ],
    [
      'events in one request',
      'messages',
      {},
      async (client) => {
        await client.send(Buffer.concat(Array.from({ length: 500 }, () => RawClient.frame('42["noise"]'))));
      },
    ],
    [
      'heartbeats',
      'messages',
      {},
      async (client) => {
        await client.send(Buffer.concat(Array.from({ length: 500 }, () => RawClient.frame('3'))));
      },
    ],
    [
      'bytes',
      'bytes',
      { MAX_BYTES_PER_SECOND: '256', MAX_PAYLOAD: '256' },
      async (client) => {
        const frame = RawClient.frame(`42["${'x'.repeat(100)}"]`);
        for (let i = 0; i < 20; i++) await client.send(frame);
      },
    ],
    [
      'binary attachments without end',
      'bytes',
      { MAX_BYTES_PER_SECOND: '256', MAX_PAYLOAD: '256' },
      async (client) => {
        const begin = RawClient.frame('451-["a",{"_placeholder":true,"num":0}]');
        const part = RawClient.frame(Buffer.alloc(100, 7));
        for (let i = 0; i < 20; i++) await client.send(Buffer.concat([begin, part]));
      },
    ],
  ];

  test.each(FLOODS)('%s', async (_name, kind, env, flood) => {
    const pod = await Pod.start(cleanup, env);
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const client = await RawClient.connect(pod.port);
    cleanup.add(client, () => client.socket.destroy());
    await client.open();
    await client.send(RawClient.frame('40'));
    await client.take('"welcome"');
    await flood(client);
    await until('the flood to be cut', () => client.closed);
    expect(await pod.metric('gateway_floods_total', { kind })).toBe(1);
    expect(await pod.metric('gateway_floods_total')).toBe(1);
    await until(
      'the disconnect',
      async () => (await pod.metric('gateway_disconnects_total', { reason: 'flood' })) === 1,
    );
    await pod.post('/v1/signals', signal(1));
    await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
    expect(honest.disconnects).toEqual([]);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('probes of a better transport', async () => {
    const pod = await Pod.start(cleanup);
    const polling = await RawClient.connect(pod.port);
    const probe = await RawClient.connect(pod.port);
    for (const one of [polling, probe]) cleanup.add(one, () => one.socket.destroy());
    await probe.open(await polling.handshake());
    await probe.send(Buffer.concat(Array.from({ length: 100 }, () => RawClient.frame('2probe'))));
    await until('the flood to be cut', () => probe.closed);
    expect(await pod.metric('gateway_floods_total', { kind: 'probes' })).toBe(1);
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
  });
});

test('a client that never joins is cut after CONNECT_TIMEOUT', async () => {
  const pod = await Pod.start(cleanup, { CONNECT_TIMEOUT: '500' });
  const silent = await RawClient.connect(pod.port);
  cleanup.add(silent, () => silent.socket.destroy());
  await silent.open();
  await until('it to be cut', () => silent.closed);
  expect(await pod.metric('gateway_sessions')).toBe(0);
});
