import { afterEach, describe, expect, test } from 'vitest';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { httpRequest } from '../support/http.js';
import { SECRET, claims, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Far more levels than a recursive reader has stack for. */
const LEVELS = 30_000;
const DEEP = '['.repeat(LEVELS) + ']'.repeat(LEVELS);
const ROOMY = { MAX_PAYLOAD: String(1024 * 1024), MAX_BYTES_PER_SECOND: '0' };

/** Publishes a signal, which a client that was there all along must get. */
async function stillServed(pod: Pod, honest: FeedClient): Promise<void> {
  const before = honest.signals.length;
  expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
  await until('the signal', () => honest.signals.length > before, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
}

describe('JSON that nests 30,000 levels deep harms nobody', () => {
  test('it closes only its own connection, wherever it appears, over either transport', async () => {
    const pod = await Pod.start(cleanup, ROOMY);
    const honest = await FeedClient.connect(cleanup, pod.url);
    for (const body of [`40{"x":${DEEP},"topics":["BTC/USDT"]}`, `40{"topics":${DEEP}}`, `421["subscribe",${DEEP}]`]) {
      const isConnect = body.startsWith('40');
      const raw = await RawClient.connect(pod.port);
      await raw.open();
      if (!isConnect) {
        await raw.send(RawClient.frame('40'));
        await raw.take('"welcome"');
      }
      await raw.send(RawClient.frame(body));
      await until('the connection to be closed', () => raw.closed);
      await stillServed(pod, honest);

      const polling = await RawClient.connect(pod.port);
      const sid = await polling.handshake();
      if (!isConnect) await polling.post(sid, '40');
      await polling.post(sid, body);
      const url = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
      // The session ends with the poll that is told so.
      await until('the session to be over', async () => (await httpRequest(url)).status === 400);
      expect(raw.received.toString('latin1')).not.toContain('"code"');
      await stillServed(pod, honest);
    }
  });

  test('around an attachment, it closes only its own connection, over either transport', async () => {
    const pod = await Pod.start(cleanup, ROOMY);
    const honest = await FeedClient.connect(cleanup, pod.url);
    const inside = `${'['.repeat(LEVELS)}{"_placeholder":true,"num":0}${']'.repeat(LEVELS)}`;
    const raw = await RawClient.connect(pod.port);
    await raw.open();
    await raw.send(RawClient.frame('40'));
    await raw.take('"welcome"');
    await raw.send(RawClient.frame(`451-["subscribe",${inside}]`));
    await raw.send(RawClient.frame(Buffer.from([1])));
    await until('the connection to be closed', () => raw.closed);
    expect(honest.socket.connected).toBe(true);
    await stillServed(pod, honest);

    const polling = await RawClient.connect(pod.port);
    const sid = await polling.handshake();
    await polling.post(sid, '40');
    await polling.post(sid, `451-["subscribe",${inside}]\u001ebAQ==`);
    await stillServed(pod, honest);
  });
});

describe.each(['websocket', 'polling'])('topics with an unpaired surrogate, over %s,', (transport) => {
  const transports = [transport];

  test('are refused in auth and in subscribe with a code and the reason, and change nothing', async () => {
    const pod = await Pod.start(cleanup);
    const refused = new FeedClient(cleanup, pod.url, { transports, auth: { topics: ['A', 'BTC\ud83d'] } });
    const errors: (Error & { data?: unknown })[] = [];
    refused.socket.on('connect_error', (error) => errors.push(error));
    await until('the refusal', () => errors.length > 0);
    expect([errors[0]?.message, errors[0]?.data]).toEqual([
      'topic 1 has an unpaired surrogate; send whole characters',
      { code: 'invalid_topics' },
    ]);

    const client = await FeedClient.connect(cleanup, pod.url, { transports, auth: { topics: ['📈@📈'] } });
    for (const topic of ['\udcc8', '\ud83d', 'A@\ud83d', '\udcc8\ud83d']) {
      const answer = (await client.socket.timeout(10_000).emitWithAck('subscribe', [topic])) as SubscribeAnswer;
      expect([topic, answer]).toMatchObject([topic, { ok: false, error: { code: 'invalid_topics' } }]);
    }
    await pod.post('/v1/signals', signal(1, { symbol: '📈', timeframe: '📈' }));
    await until('the signal of its topics', () => client.signals.length === 1, { seen: () => client });
  });
});

test('a subscriber of U+FFFD gets no signal whose symbol Redis would have made that', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const client = await FeedClient.connect(cleanup, pod.url, { auth: { topics: ['\ufffd', '📈'] } });
  const producer = redis.client(cleanup);
  for (const symbol of ['\ud83d', '\udcc8', '\ufffd', '📈']) {
    const text = JSON.stringify(signal(1, { symbol }));
    await producer.publish('new_signal', text);
    const isWhole = symbol === '\ufffd' || symbol === '📈';
    expect([symbol, (await pod.post('/v1/signals', text)).status]).toEqual([symbol, isWhole ? 202 : 422]);
  }
  await until('its own signals', () => client.signals.length === 4, { seen: () => client });
  const symbols = client.signals.map(([payload]) => (payload as { symbol: string }).symbol);
  expect(symbols.toSorted()).toEqual(['\ufffd', '\ufffd', '📈', '📈'].toSorted());
  expect(await pod.metric('gateway_messages_rejected_total', { source: 'pubsub', reason: 'lone_surrogate' })).toBe(2);
});

test('if a field of auth appears twice, the last one is used everywhere, since nobody else reads it', async () => {
  const pod = await Pod.start(cleanup, { AUTH: 'jwt', JWT_SECRET: SECRET });
  const token = JSON.stringify(await secretToken(claims({ topics: ['A'] })));
  const raw = await RawClient.connect(pod.port);
  await raw.open();
  await raw.send(RawClient.frame(`40{"token":"x","token":${token},"topics":["B"],"topics":["A"]}`));
  expect(await raw.take('"welcome"')).toContain('42["welcome"');
  const other = await RawClient.connect(pod.port);
  await other.open();
  await other.send(RawClient.frame(`40{"token":${token},"topics":["A"],"topics":["B"]}`));
  expect(await other.take('"code":"topics_not_allowed"')).toContain('"B\\"');
});
