import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { httpRequest } from '../support/http.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PADDING = 'x'.repeat(15_000);
const BATCH = 100;

/** Publishes big signals, numbered by their price, until a condition holds; returns how many. */
async function publishUntil(pod: Pod, condition: () => Promise<boolean>, reader: FeedClient): Promise<number> {
  let published = 0;
  const deadline = Date.now() + 40_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`still not so after ${published} signals`);
    const batch = Array.from({ length: BATCH }, (_, i) => signal(published + i, { padding: PADDING }));
    expect((await pod.post('/v1/signals', batch)).status).toBe(202);
    published += BATCH;
    // The honest reader sets the pace, or it would be a slow one too.
    await until('the honest reader to keep up', () => reader.signals.length === published, { seen: () => reader });
  }
  return published;
}

function prices(client: FeedClient): number[] {
  return client.signals.map(([payload]) => (payload as { price: number }).price);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

async function cut(pod: Pod): Promise<boolean> {
  return (await pod.metric('gateway_disconnects_total', { reason: 'slow client' })) === 1;
}

test('a WebSocket client that stops reading is cut, has received signals without a hole up to there, and nobody else misses one', async () => {
  // Above one batch, so that the honest reader is never over it.
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: String(4 * 1024 * 1024) });
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const slow = await RawClient.connect(pod.port);
  cleanup.add(slow, () => slow.socket.destroy());
  await slow.open();
  await slow.send(RawClient.frame('40'));
  await slow.take('"welcome"');
  slow.socket.pause();

  const published = await publishUntil(pod, () => cut(pod), honest);
  expect(prices(honest)).toEqual(upTo(published));
  expect(honest.disconnects).toEqual([]);
  // Lines come a moment after the fact.
  const told = (): number => pod.logs().filter(({ reason }) => reason === 'slow client').length;
  await until('the log to tell of it', () => told() > 0, { seen: () => pod.output() });
  expect(told()).toBe(1);
  await until('the slow client to be gone', async () => (await pod.metric('gateway_sessions')) === 1);

  // What the kernel had taken for the slow client is still there to be read.
  slow.socket.resume();
  await until('the end of the slow connection', () => slow.closed);
  const got = [...slow.received.toString('latin1').matchAll(/"price":(\d+),/g)].map(([, price]) => Number(price));
  expect(got.length).toBeGreaterThan(0);
  expect(got.length).toBeLessThan(published);
  expect(got).toEqual(upTo(got.length));
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('a polling client that never polls is cut when more than MAX_BACKPRESSURE waits for it, and nobody else misses a signal', async () => {
  const limit = 4 * 1024 * 1024;
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: String(limit) });
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
  const slow = await RawClient.connect(pod.port);
  cleanup.add(slow, () => slow.socket.destroy());
  const sid = await slow.handshake();
  await slow.post(sid, '40');
  await until('both to be connected', async () => (await pod.metric('gateway_connections')) === 2);

  const published = await publishUntil(pod, () => cut(pod), honest);
  expect(published * PADDING.length).toBeGreaterThan(limit);
  expect((published - BATCH) * PADDING.length).toBeLessThan(limit);
  expect(prices(honest)).toEqual(upTo(published));
  expect(honest.disconnects).toEqual([]);
  await until('the slow client to be gone', async () => (await pod.metric('gateway_sessions')) === 1);
  const late = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
  expect(late.status).toBe(400);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('a polling client that never polls, and asks for answers that it does not fetch, is cut too', async () => {
  const limit = 200_000;
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: String(limit) });
  const client = await RawClient.connect(pod.port);
  cleanup.add(client, () => client.socket.destroy());
  const sid = await client.handshake();
  await client.post(sid, '40');
  const topics = Array.from({ length: 1024 }, (_, i) => `S${i}`);
  let asked = 0;
  await until(
    'it to be cut',
    async () => {
      asked++;
      await client.post(sid, `420["subscribe",${JSON.stringify(topics)}]`).catch(() => {});
      return cut(pod);
    },
    { limit: 20_000, seen: () => pod.output() },
  );
  // Each answer has the topics in it.
  expect(asked * JSON.stringify(topics).length).toBeLessThan(2 * limit);
  expect(await pod.metric('gateway_slow_clients_total')).toBe(1);
  await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('a stock client that was cut for being slow connects again by itself', async () => {
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: '65536' });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
  // One request of the API is one turn of the loop: more than the limit waits before the client can poll again.
  const batch = Array.from({ length: 20 }, (_, i) => signal(i, { padding: PADDING }));
  expect((await pod.post('/v1/signals', batch)).status).toBe(202);
  await client.welcomed(2);
  expect(await cut(pod)).toBe(true);
});
