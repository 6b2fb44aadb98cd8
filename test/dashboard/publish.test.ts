import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { nested } from '../support/bad-messages.js';
import { type HttpAnswer, httpRequest } from '../support/http.js';
import { HAS_HAPROXY } from '../support/haproxy.js';
import { plainHaProxy } from '../support/plain-haproxy.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

/** An address of this machine that others can reach, if it has one. */
const OUTSIDE = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

async function tokenOf(pod: Pod): Promise<string> {
  return new URL(await pod.dashboardLink()).hash.slice('#publish='.length);
}

/** Publishes as the page does, when it was opened at `url`. */
function publish(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  body = JSON.stringify(signal(1)),
): Promise<HttpAnswer> {
  return httpRequest(`${url}/dashboard/signals`, {
    method: 'POST',
    headers: { origin: url, 'content-type': 'application/json', ...headers },
    body,
  });
}

async function infoOf(url: string, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
  return JSON.parse((await httpRequest(`${url}/dashboard/info`, { headers })).body) as Record<string, unknown>;
}

async function codeOf(answer: Promise<HttpAnswer>): Promise<unknown> {
  return (JSON.parse((await answer).body) as { code: unknown }).code;
}

function expectRefused(answer: HttpAnswer, code: string): void {
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(answer.headers['www-authenticate']).toBe('Bearer');
  expect(JSON.parse(answer.body)).toMatchObject({ status: 401, code });
}

describe('with the token of the link', () => {
  test('a signal is published, and clients get it', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url);
    const token = await tokenOf(pod);
    const answer = await publish(pod.url, bearer(token), JSON.stringify(signal(77)));
    expect(answer.status).toBe(202);
    await until('the signal', () => client.signals.length === 1, { seen: () => client });
    const { offsets } = JSON.parse(answer.body) as { offsets: string[] };
    expect(client.signals).toEqual([[signal(77), offsets[0]]]);
    expect(await infoOf(pod.url, bearer(token))).toMatchObject({ mayPublish: true, publishWith: 'link' });
  });

  test('it is published whatever address, Host and Origin the request has: the link is enough', async () => {
    const pod = await Pod.start(cleanup, { TRUST_PROXY: '1' });
    const token = bearer(await tokenOf(pod));
    for (const headers of [
      { host: 'gateway.example', origin: 'https://gateway.example' },
      { host: 'localhost', 'x-forwarded-for': '192.0.2.1', via: '1.1 proxy' },
    ]) {
      expect((await publish(pod.url, { ...token, ...headers })).status).toBe(202);
    }
  });

  test('an invalid signal is refused as the publish API refuses it', async () => {
    const pod = await shared();
    const token = bearer(await tokenOf(pod));
    const post = (body: string): Promise<unknown> => codeOf(publish(pod.url, token, body));
    expect(await post('{"price":-1}')).toBe('invalid_signal');
    expect(await post('{')).toBe('invalid_json');
    expect(await post(JSON.stringify(signal(1)).replace('{', '{"symbol":"ETH/USDT",'))).toBe('duplicate_field');
    expect(await post(JSON.stringify(signal(1, { timeframe: '\ud83d' })))).toBe('lone_surrogate');
    expect(await post(nested(signal(1), 64, ['[', ']']))).toBe('too_deep');
    expect(await post(JSON.stringify([signal(1), signal(2)]))).toBe('batch_too_long');
    expect(await post(JSON.stringify(signal(1, { x: 'x'.repeat(16_000) })))).toBe('message_too_large');
    expect(await post('x'.repeat(20_000))).toBe('body_too_large');
    expect(await codeOf(publish(pod.url, { ...token, 'content-type': 'text/plain' }))).toBe('unsupported_media_type');
    expect((await httpRequest(`${pod.url}/dashboard/signals`)).status).toBe(405);
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(0);
  });
});

describe('without the token', () => {
  test('nobody can publish, not even from this machine, and each try is counted', async () => {
    const pod = await shared();
    const client = await FeedClient.connect(cleanup, pod.url);
    const local = { host: 'localhost:3000', origin: 'http://localhost:3000' };
    expectRefused(await publish(pod.url), 'publish_token_required');
    expectRefused(await publish(pod.url, local), 'publish_token_required');
    expectRefused(await publish(pod.url, { ...local, 'x-forwarded-for': '127.0.0.1' }), 'publish_token_required');
    expect(await infoOf(pod.url, { host: 'localhost' })).toMatchObject({ mayPublish: false, publishWith: 'link' });
    const reason = 'publish_token_required';
    expect(await pod.metric('gateway_refusals_total', { reason })).toBe(3);
    expect([await pod.metric('gateway_messages_accepted_total'), client.signals]).toEqual([0, []]);
  });

  test('a page with a name that leads to this machine does not publish (DNS rebinding)', async () => {
    const pod = await shared();
    for (const name of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'localhost']) {
      const host = `${name}:${pod.port}`;
      expectRefused(await publish(pod.url, { host, origin: `http://${host}` }), 'publish_token_required');
    }
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(0);
  });

  test('a page of another origin is not even allowed to ask with a token', async () => {
    const pod = await Pod.start(cleanup, { CORS_ORIGIN: '*' });
    for (const [path, method] of [
      ['/dashboard/signals', 'POST'],
      ['/dashboard/info', 'GET'],
    ] as const) {
      const { headers } = await httpRequest(pod.url + path, {
        method: 'OPTIONS',
        headers: {
          origin: 'http://evil.example',
          'access-control-request-method': method,
          'access-control-request-headers': 'authorization,content-type',
        },
      });
      expect(headers['access-control-allow-headers']).toBeUndefined();
    }
  });

  test('what is nearly the token is refused, in any form', async () => {
    const pod = await shared();
    const token = await tokenOf(pod);
    // 128 bits at least, in an alphabet that needs no escapes.
    expect(token).toMatch(/^[\w-]{22,}$/);
    const wrong = ['x', `${token}x`, token.slice(1), token.toUpperCase(), `x${token.slice(1)}`, 'Bearer', '"', '%00'];
    for (const one of wrong) expectRefused(await publish(pod.url, bearer(one)), 'publish_token_wrong');
    const forms = ['', 'Bearer', 'Bearer ', token, `Basic ${token}`, `Token ${token}`, `Bearer a ${token}`];
    for (const authorization of forms) {
      expectRefused(await publish(pod.url, { authorization }), 'publish_token_required');
    }
    for (const authorization of [`bearer ${token}`, `Bearer   ${token}`]) {
      expect((await publish(pod.url, { authorization })).status).toBe(202);
    }
    const elsewhere = `${pod.url}/dashboard/signals?publish=${token}&authorization=Bearer%20${token}`;
    const cookie = { cookie: `publish=${token}`, 'content-type': 'application/json' };
    const answer = await httpRequest(elsewhere, { method: 'POST', headers: cookie, body: JSON.stringify(signal(1)) });
    expectRefused(answer, 'publish_token_required');
    const reason = 'publish_token_wrong';
    expect(await pod.metric('gateway_refusals_total', { reason })).toBe(wrong.length);
  });

  test.skipIf(OUTSIDE === undefined)('another address is refused as this machine is', async () => {
    const pod = await Pod.start(cleanup, { HOST: '0.0.0.0' });
    const url = `http://${OUTSIDE}:${pod.port}`;
    expectRefused(await publish(url), 'publish_token_required');
    expect((await publish(url, bearer(await tokenOf(pod)))).status).toBe(202);
  });
});

test('every start has another token, and the refusal of one from before says what to do', async () => {
  const first = await Pod.start(cleanup);
  const second = await Pod.start(cleanup);
  const token = await tokenOf(first);
  expect(await tokenOf(second)).not.toBe(token);
  const answer = await publish(second.url, bearer(token));
  expectRefused(answer, 'publish_token_wrong');
  const { detail } = JSON.parse(answer.body) as { detail: string };
  expect(detail).toContain('the gateway was restarted, or');
  expect(detail).toContain(`Open the newest link from the log of ${second.name}`);
});

describe('with API_KEY', () => {
  test('each key of it publishes, nothing else does, and the log has neither a link nor a key', async () => {
    const pod = await Pod.start(cleanup, { API_KEY: 'first-key,second%41-key' });
    for (const key of ['first-key', 'second%41-key']) {
      expect((await publish(pod.url, bearer(key))).status).toBe(202);
      expect(await infoOf(pod.url, bearer(key))).toMatchObject({ mayPublish: true, publishWith: 'api_key' });
    }
    const host = `localhost:${pod.port}`;
    expectRefused(await publish(pod.url, { host, origin: `http://${host}` }), 'unauthorized');
    expectRefused(await publish(pod.url, bearer('wrong')), 'unauthorized');
    expectRefused(await publish(pod.url, bearer('first-key,second%41-key')), 'unauthorized');
    expect(await infoOf(pod.url, bearer('wrong'))).toMatchObject({ mayPublish: false, publishWith: 'api_key' });
    expect(await pod.metric('gateway_refusals_total', { reason: 'unauthorized' })).toBe(3);
    expect(pod.output()).toContain('  Dashboard   ');
    expect(pod.output()).not.toMatch(/#publish|first-key|second%41-key/);
  });
});

describe('the link', () => {
  test('is in the banner and in the log, once each, and the token is nowhere else', async () => {
    const pod = await Pod.start(cleanup);
    const link = await pod.dashboardLink();
    expect(link).toMatch(new RegExp(`^${pod.url}/#publish=[\\w-]+$`));
    expect(pod.child.stderr).toContain(`  Dashboard   ${link}\n`);
    await publish(pod.url, bearer(await tokenOf(pod)));
    await publish(pod.url, bearer('wrong'));
    expect(pod.output().split(await tokenOf(pod))).toHaveLength(3);
  });

  test('is not there with DASHBOARD=off', async () => {
    const pod = await Pod.start(cleanup, { DASHBOARD: 'off' });
    expect(pod.output()).not.toMatch(/#publish|Dashboard/);
    expect((await publish(pod.url)).status).toBe(404);
  });
});

describe.skipIf(!HAS_HAPROXY)('through a plain HAProxy on the same machine (skipped without one)', () => {
  test.each(['http', 'tcp'] as const)('in mode %s only who has the token publishes', async (mode) => {
    const pod = await shared();
    const url = await plainHaProxy(cleanup, mode, pod.port);
    const client = await FeedClient.connect(cleanup, pod.url);
    const forged = { host: 'localhost:3000', origin: 'http://localhost:3000' };
    expectRefused(await publish(url, forged), 'publish_token_required');
    expectRefused(await publish(url, { ...forged, ...bearer('guess') }), 'publish_token_wrong');
    expect(await infoOf(url, { host: 'localhost' })).toMatchObject({ mayPublish: false });
    expect((await publish(url, bearer(await tokenOf(pod)), JSON.stringify(signal(2)))).status).toBe(202);
    await until('the signal', () => client.signals.length > 0, { seen: () => client });
    expect(client.signals.map(([payload]) => payload)).toEqual([signal(2)]);
  });
});
