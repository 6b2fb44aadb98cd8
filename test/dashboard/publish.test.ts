import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { nested } from '../support/bad-messages.js';
import { type HttpAnswer, httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** An address of this machine that others can reach, if it has one. */
const OUTSIDE = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

/** Publishes as the page does, when it was opened at `http://<host>/`. */
function publish(
  pod: Pod,
  headers: Readonly<Record<string, string>> = {},
  { host = `127.0.0.1:${pod.port}`, address = '127.0.0.1', body = JSON.stringify(signal(1)) } = {},
): Promise<HttpAnswer> {
  return httpRequest(`http://${address}:${pod.port}/dashboard/signals`, {
    method: 'POST',
    headers: { host, origin: `http://${host}`, 'content-type': 'application/json', ...headers },
    body,
  });
}

/** Whether the page would show its form. */
async function mayPublish(pod: Pod, headers: Record<string, string> = {}, address = '127.0.0.1'): Promise<boolean> {
  const { body } = await httpRequest(`http://${address}:${pod.port}/dashboard/info`, { headers });
  return (JSON.parse(body) as { mayPublish: boolean }).mayPublish;
}

async function codeOf(answer: Promise<HttpAnswer>): Promise<unknown> {
  return (JSON.parse((await answer).body) as { code: unknown }).code;
}

function expectRefused(answer: HttpAnswer, reason: string): void {
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(answer.body)).toMatchObject({ status: 403, code: 'not_same_machine', reason });
}

describe('from the same machine', () => {
  test('a signal is published, and clients get it', async () => {
    const pod = await Pod.start(cleanup);
    const client = await FeedClient.connect(cleanup, pod.url);
    for (const host of ['localhost', `localhost:${pod.port}`, '127.0.0.1', '127.0.0.9:80', '[::1]:3000']) {
      expect([host, (await publish(pod, {}, { host })).status]).toEqual([host, 202]);
      expect(await mayPublish(pod, { host })).toBe(true);
    }
    const answer = JSON.parse((await publish(pod, {}, { body: JSON.stringify(signal(77)) })).body) as unknown;
    await until('the signals', () => client.signals.length === 6, { seen: () => client });
    expect(client.signals.at(-1)).toEqual([signal(77), (answer as { offsets: string[] }).offsets[0]]);
  });

  test('what is no signal is refused as the publish API refuses it', async () => {
    const pod = await Pod.start(cleanup);
    expect(await codeOf(publish(pod, {}, { body: '{"price":-1}' }))).toBe('invalid_signal');
    expect(await codeOf(publish(pod, {}, { body: '{' }))).toBe('invalid_json');
    const twice = JSON.stringify(signal(1)).replace('{', '{"symbol":"ETH/USDT",');
    expect(await codeOf(publish(pod, {}, { body: twice }))).toBe('duplicate_field');
    const half = JSON.stringify(signal(1, { timeframe: '\ud83d' }));
    expect(await codeOf(publish(pod, {}, { body: half }))).toBe('lone_surrogate');
    const deep = nested(signal(1), 64, ['[', ']']);
    expect(await codeOf(publish(pod, {}, { body: deep }))).toBe('too_deep');
    expect(await codeOf(publish(pod, {}, { body: JSON.stringify([signal(1), signal(2)]) }))).toBe('batch_too_long');
    expect(await codeOf(publish(pod, {}, { body: JSON.stringify(signal(1, { x: 'x'.repeat(16_000) })) }))).toBe(
      'message_too_large',
    );
    expect(await codeOf(publish(pod, {}, { body: 'x'.repeat(20_000) }))).toBe('body_too_large');
    // What a form of another page could send without being asked first (Fetch standard, CORS-safelisted).
    expect(await codeOf(publish(pod, { 'content-type': 'text/plain' }))).toBe('unsupported_media_type');
    expect((await httpRequest(`${pod.url}/dashboard/signals`)).status).toBe(405);
    expect(await pod.metric('gateway_messages_accepted_total')).toBe(0);
  });
});

test('a page of another origin may not publish, nor a caller without one', async () => {
  const pod = await Pod.start(cleanup);
  const host = `127.0.0.1:${pod.port}`;
  const origins = [
    'http://evil.example',
    `https://${host}`,
    'http://127.0.0.1:1',
    `http://localhost:${pod.port}`,
    'null',
  ];
  for (const origin of [...origins, '']) expectRefused(await publish(pod, { origin }), 'origin');
  // It could have.
  expect((await publish(pod)).status).toBe(202);
});

test('a name that is not this machine is refused, whatever it leads to', async () => {
  const pod = await Pod.start(cleanup);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::2]',
    '0.0.0.0',
  ]) {
    expectRefused(await publish(pod, {}, { host }), 'host');
    expect(await mayPublish(pod, { host })).toBe(false);
  }
});

test('what came through a proxy is refused, even through one on the same machine', async () => {
  const pod = await Pod.start(cleanup);
  const headers = {
    forwarded: 'for=192.0.2.1',
    via: '1.1 proxy',
    'x-forwarded-for': '192.0.2.1',
    'x-forwarded-host': 'gateway.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-anything': '1',
    'x-real-ip': '192.0.2.1',
  };
  for (const [name, value] of Object.entries(headers)) {
    expectRefused(await publish(pod, { [name]: value }), 'proxy');
    expect(await mayPublish(pod, { [name]: value })).toBe(false);
  }
});

test('with proxies before the gateway the page publishes nothing', async () => {
  const pod = await Pod.start(cleanup, { TRUST_PROXY: '1' });
  expectRefused(await publish(pod), 'proxy');
  expect(await mayPublish(pod)).toBe(false);
});

test('with API_KEY the page publishes nothing, with the key neither', async () => {
  const pod = await Pod.start(cleanup, { API_KEY: 'secret' });
  expectRefused(await publish(pod), 'api_key');
  expectRefused(await publish(pod, { authorization: 'Bearer secret' }), 'api_key');
  expect(await mayPublish(pod)).toBe(false);
});

test.skipIf(OUTSIDE === undefined)('another address than loopback is refused (needs a network interface)', async () => {
  const pod = await Pod.start(cleanup, { HOST: '0.0.0.0' });
  expectRefused(await publish(pod, {}, { address: OUTSIDE as string, host: `localhost:${pod.port}` }), 'address');
  expect(await mayPublish(pod, { host: 'localhost' }, OUTSIDE)).toBe(false);
});
