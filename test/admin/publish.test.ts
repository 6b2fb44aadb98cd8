import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { PROBLEMS } from '../../src/errors.js';
import { nested } from '../support/bad-messages.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { postHead } from '../support/raw-http.js';
import { RedisServer } from '../support/redis.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';
import { BAD_REQUESTS, type BadRequest, MAX_SIGNAL_BYTES, expectProblem, json } from './bad-requests.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

const SETTINGS = { MAX_SIGNAL_BYTES: String(MAX_SIGNAL_BYTES) };
const TRANSPORTS = [['websocket'], ['polling']];

async function clientsOf(pod: Pod): Promise<FeedClient[]> {
  return Promise.all(TRANSPORTS.map((transports) => FeedClient.connect(cleanup, pod.url, { transports })));
}

/** The offsets of an answer to a good request. */
async function offsetsOf(answer: Response): Promise<string[]> {
  expect(answer.status).toBe(202);
  expect(answer.headers.get('content-type')).toBe('application/json');
  const body = (await answer.json()) as { offsets: string[] };
  expect(Object.keys(body)).toEqual(['offsets']);
  return body.offsets;
}

/** What each client got of an event, payloads with offsets. */
async function delivered(
  clients: readonly FeedClient[],
  kind: 'signals' | 'statuses',
  count: number,
): Promise<unknown[][][]> {
  await until(`${count} ${kind} at every client`, () => clients.every((one) => one[kind].length >= count), {
    seen: () => clients,
  });
  return clients.map((one) => one[kind]);
}

describe('a good request', () => {
  test('publishes one object on either route, answers with its offset, and clients get both', async () => {
    const pod = await Pod.start(cleanup);
    const clients = await clientsOf(pod);
    const [first, ...none] = await offsetsOf(await pod.post('/v1/signals', signal(1)));
    const [second] = await offsetsOf(await pod.post('/v1/status', status('degraded')));
    expect(none).toEqual([]);
    const [epoch = '', seq] = first?.split(':') ?? [];
    expect(second).toBe(`${epoch}:${Number(seq) + 1}`);
    for (const got of await delivered(clients, 'signals', 1)) expect(got).toEqual([[signal(1), first]]);
    for (const got of await delivered(clients, 'statuses', 1)) expect(got).toEqual([[status('degraded'), second]]);
  });

  test.each([
    ['/v1/signals', 'signals', (i: number) => signal(i)],
    ['/v1/status', 'statuses', (i: number) => status('active', { service: `worker ${i % 7}`, i })],
  ] as const)(
    'publishes 1,000 items of one body to %s in their order, with contiguous offsets',
    async (path, kind, item) => {
      const pod = await Pod.start(cleanup);
      const clients = await clientsOf(pod);
      const items = Array.from({ length: 1000 }, (_, i) => item(i));
      const offsets = await offsetsOf(await pod.post(path, items));
      const [epoch = '', first] = offsets[0]?.split(':') ?? [];
      expect(offsets).toEqual(items.map((_, i) => `${epoch}:${Number(first) + i}`));
      const [next] = await offsetsOf(await pod.post(path, [item(7)]));
      expect(next).toBe(`${epoch}:${Number(first) + 1000}`);
      const expected = [...items.map((one, i) => [one, offsets[i]]), [item(7), next]];
      for (const got of await delivered(clients, kind, 1001)) expect(got).toEqual(expected);
    },
  );

  test('may name a charset, come in chunks, and have an item of exactly the largest size', async () => {
    const pod = await Pod.start(cleanup, SETTINGS);
    const clients = await clientsOf(pod);
    const pad = 'x'.repeat(MAX_SIGNAL_BYTES - json(signal(1, { pad: '' })).length);
    const largest = signal(1, { pad });
    const headers = { 'content-type': 'Application/JSON; charset=utf-8' };
    await offsetsOf(await pod.post('/v1/signals', largest, headers));
    const parts = new Blob([` [${json(signal(2))}`, `,\n${json(largest)}] `]).stream();
    const url = `${pod.adminUrl}/v1/signals`;
    expect(await offsetsOf(await fetch(url, { method: 'POST', headers, body: parts, duplex: 'half' }))).toHaveLength(2);
    for (const got of await delivered(clients, 'signals', 3)) {
      expect(got.map(([payload]) => payload)).toEqual([largest, signal(2), largest]);
    }
  });
});

describe('a bad request', () => {
  test('of every kind gets its own problem document and delivers nothing', async () => {
    expect(BAD_REQUESTS.length).toBeGreaterThanOrEqual(20);
    expect(new Set(BAD_REQUESTS.map(({ name }) => name)).size).toBe(BAD_REQUESTS.length);
    const pod = await Pod.start(cleanup, SETTINGS);
    const clients = await clientsOf(pod);
    for (const one of BAD_REQUESTS) await expectRefused(pod, one);

    const [offset] = await offsetsOf(await pod.post('/v1/signals', signal(1)));
    // The first entry there is: nothing that was refused took a place.
    expect(offset).toMatch(/:1$/);
    for (const got of await delivered(clients, 'signals', 1)) expect(got).toEqual([[signal(1), offset]]);
    for (const client of clients) {
      expect(client.statuses).toEqual([]);
      expect(client.disconnects).toEqual([]);
    }
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(1);
  });

  test('names the item of a batch that is wrong', async () => {
    const pod = await shared();
    const answer = await pod.post('/v1/signals', [signal(1), signal(2), signal(3, { price: -1 })]);
    const problem = (await answer.json()) as { index: number; detail: string };
    expect(problem.index).toBe(2);
    expect(problem.detail).toContain('Item 2');
    expect(problem.detail).toContain('"price"');
  });

  test('names the item of a batch that two readers would read differently', async () => {
    const pod = await shared();
    const good = JSON.stringify(signal(1));
    const texts: Record<string, string> = {
      duplicate_field: good.replace('{', '{"symbol":"ETH/USDT",'),
      lone_surrogate: good.replace('BTC/USDT', String.raw`\ud83d`),
      too_deep: nested(signal(1), 64, ['[', ']']),
    };
    for (const [code, text] of Object.entries(texts)) {
      const answer = await pod.post('/v1/signals', `[${good},${text},${good}]`);
      const problem = (await answer.json()) as { code: string; index: number; detail: string };
      expect([answer.status, problem.code, problem.index]).toEqual([422, code, 1]);
      expect(problem.detail).toMatch(/^Item 1: field ".*\. Nothing was published\.$/);
      expect(await pod.metric('gateway_messages_rejected_total', { source: 'http', reason: code })).toBe(1);
    }
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(0);
  });

  test('is not caused by the array of a batch: the array does not count as a level of its messages', async () => {
    const pod = await shared();
    const deepest = nested(signal(1), 63, ['[', ']']);
    expect(await offsetsOf(await pod.post('/v1/signals', deepest))).toHaveLength(1);
    expect(await offsetsOf(await pod.post('/v1/signals', `[${deepest},${deepest}]`))).toHaveLength(2);
  });

  test('is counted by its reason', async () => {
    const pod = await Pod.start(cleanup, SETTINGS);
    await pod.post('/v1/signals', '{');
    await pod.post('/v1/signals', Buffer.from([0xff]));
    await pod.post('/v1/status', { service: 'x' });
    await pod.post('/v1/status', [status(), status('active', { pad: 'x'.repeat(MAX_SIGNAL_BYTES) })]);
    const rejected = async (event: string, reason: string): Promise<number> =>
      pod.metric('gateway_messages_rejected_total', { source: 'http', event, reason });
    expect(await rejected('new_signal', 'not_json')).toBe(1);
    expect(await rejected('new_signal', 'encoding')).toBe(1);
    expect(await rejected('status_update', 'shape')).toBe(1);
    expect(await rejected('status_update', 'too_large')).toBe(1);
    expect(await pod.metric('gateway_messages_rejected_total')).toBe(4);
  });
});

async function expectRefused(pod: Pod, { name, send, code, headers = {} }: BadRequest): Promise<void> {
  try {
    const answer = await send(pod);
    expectProblem(answer, code);
    expect(Object.fromEntries(Object.keys(headers).map((key) => [key, answer.headers.get(key)]))).toEqual(headers);
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function headersOf(authorization?: string): Record<string, string> {
  return authorization === undefined ? {} : { authorization };
}

describe('the API key', () => {
  test('is required of everybody once it is set, and each key of the list is accepted', async () => {
    const pod = await Pod.start(cleanup, { API_KEY: 'first-key,second-key' });
    const clients = await clientsOf(pod);
    const refused = [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      'Bearer wrong',
      'Bearer first-ke',
      'Bearer first-key2',
      'Bearer FIRST-KEY',
      'Bearer first-key,second-key',
      'Basic first-key',
      `Basic ${Buffer.from('me:first-key').toString('base64')}`,
      'first-key',
    ];
    for (const authorization of refused) {
      for (const path of ['/v1/signals', '/v1/status']) {
        const answer = await pod.post(path, signal(1), headersOf(authorization));
        expect([authorization, answer.status]).toEqual([authorization, PROBLEMS.unauthorized.status]);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
        const body = await answer.text();
        expect((JSON.parse(body) as { code: string }).code).toBe('unauthorized');
        expect(body).not.toContain('first-key');
      }
    }
    await offsetsOf(await pod.post('/v1/signals', signal(2), headersOf('Bearer first-key')));
    await offsetsOf(await pod.post('/v1/signals', signal(3), headersOf('bearer second-key')));
    // With a key the caller has shown who it is; where a page came from does not matter then.
    await offsetsOf(
      await pod.post('/v1/signals', signal(4), { ...headersOf('Bearer first-key'), origin: 'https://a.example' }),
    );
    for (const got of await delivered(clients, 'signals', 3)) {
      expect(got.map(([payload]) => payload)).toEqual([signal(2), signal(3), signal(4)]);
    }
    expect((await fetch(`${pod.adminUrl}/healthz`)).status).toBe(200);
    expect(pod.output()).not.toMatch(/first-key|second-key/);
  });

  test('is not needed by callers on this machine while it is unset, but pages in a browser are refused', async () => {
    const pod = await shared();
    const clients = await clientsOf(pod);
    for (const origin of ['https://evil.example', 'null', `http://${HOST}:${pod.adminPort}`]) {
      const answer = await pod.post('/v1/signals', signal(1), { origin });
      expect([origin, answer.status]).toEqual([origin, 403]);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
      expect(await answer.json()).toMatchObject({ code: 'forbidden', status: 403 });
    }
    await offsetsOf(await pod.post('/v1/signals', signal(2)));
    for (const got of await delivered(clients, 'signals', 1)) expect(got[0]?.[0]).toEqual(signal(2));
  });
});

test('HEAD /healthz answers like GET, without a body', async () => {
  const pod = await shared();
  const get = await fetch(`${pod.adminUrl}/healthz`);
  const head = await fetch(`${pod.adminUrl}/healthz`, { method: 'HEAD' });
  expect(head.status).toBe(200);
  expect(head.headers.get('content-type')).toBe('application/json');
  expect(head.headers.get('content-length')).toBe(String((await get.text()).length));
  expect(await head.text()).toBe('');
});

test('200 clients that go away in the middle of a POST leave the process alive, and nothing of theirs is delivered', async () => {
  const pod = await shared();
  const clients = await clientsOf(pod);
  const body = json(signal(1));
  for (let i = 0; i < 200; i++) {
    const socket = connect({ host: HOST, port: pod.adminPort });
    await once(socket, 'connect');
    const head =
      i % 2 === 0
        ? postHead('/v1/signals', { 'content-length': String(body.length) })
        : `${postHead('/v1/signals', { 'transfer-encoding': 'chunked' })}${body.length.toString(16)}\r\n`;
    await new Promise((resolve) => socket.write(head + body.slice(0, i % body.length), resolve));
    if (i % 4 < 2) socket.resetAndDestroy();
    else socket.end();
    if (!socket.closed) await once(socket, 'close');
  }
  const [offset] = await offsetsOf(await pod.post('/v1/signals', signal(2)));
  for (const got of await delivered(clients, 'signals', 1)) expect(got).toEqual([[signal(2), offset]]);
  expect(pod.child.exited).toBe(false);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('with Redis away a POST is refused with 503, and what was refused is never delivered', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const clients = await clientsOf(pod);
  await redis.kill();
  for (let i = 1; i <= 20; i++) {
    const answer = await pod.post('/v1/signals', i % 2 === 0 ? signal(i) : [signal(i), signal(i + 100)]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expectProblem(
      { status: answer.status, headers: new Map(answer.headers), body: await answer.text() },
      'publish_unavailable',
    );
  }
  await redis.restart();
  await pod.ready();
  const accepted = signal(999);
  await until(
    'the publish API to take signals again',
    async () => (await pod.post('/v1/signals', accepted)).status === 202,
  );
  for (const got of await delivered(clients, 'signals', 1)) expect(got.map(([payload]) => payload)).toEqual([accepted]);
});

test('a pod that has never reached Redis refuses a POST with 503, and delivers nothing of it once Redis comes', async () => {
  const redis = await RedisServer.start(cleanup);
  await redis.kill();
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url }, { ready: false });
  const clients = await clientsOf(pod);
  for (let i = 1; i <= 5; i++) {
    const answer = await pod.post('/v1/signals', signal(i));
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, 'publish_unavailable']);
  }
  await redis.restart();
  await pod.ready();
  const accepted = signal(999);
  await until('the publish API to take signals', async () => (await pod.post('/v1/signals', accepted)).status === 202);
  for (const got of await delivered(clients, 'signals', 1)) expect(got.map(([payload]) => payload)).toEqual([accepted]);
});
