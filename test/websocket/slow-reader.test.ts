import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { FrontDoor } from '../support/front-door.js';
import { httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PADDING = 'x'.repeat(15_000);
const BATCH = 100;
/** More than the kernels between a pod and a client take. */
const BATCHES = 10;

/** Publishes big signals, numbered by their price from a number on, and waits until a reader has them. */
async function publish(pod: Pod, from: number, reader: FeedClient): Promise<number> {
  const batch = Array.from({ length: BATCH }, (_, i) => signal(from + i, { padding: PADDING }));
  expect((await pod.post('/v1/signals', batch)).status).toBe(202);
  await has(reader, from + BATCH);
  return from + BATCH;
}

async function publishAll(pod: Pod, reader: FeedClient): Promise<number> {
  let published = 0;
  for (let i = 0; i < BATCHES; i++) published = await publish(pod, published, reader);
  return published;
}

async function has(client: FeedClient, count: number): Promise<void> {
  await until(`${count} signals`, () => client.signals.length >= count, { limit: 60_000, seen: () => client });
}

function prices(client: FeedClient): number[] {
  return client.signals.map(([payload]) => (payload as { price: number }).price);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

async function cuts(pod: Pod): Promise<number> {
  return pod.metric('gateway_disconnects_total', { reason: 'slow client' });
}

/** A stock client on a WebSocket, behind a door that can stop reading for it. */
async function behindDoor(pod: Pod): Promise<{ door: FrontDoor; client: FeedClient }> {
  const door = await FrontDoor.open(cleanup, [pod]);
  return { door, client: await FeedClient.connect(cleanup, door.url, { transports: ['websocket'] }) };
}

describe('a WebSocket client that stops reading', () => {
  test('keeps its connection, gets every signal when it reads on, and nobody else misses one', async () => {
    const pod = await Pod.start(cleanup);
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const { door, client } = await behindDoor(pod);
    door.pause();
    const published = await publishAll(pod, honest);
    door.resume();
    await has(client, published);
    await publish(pod, published, honest);
    await has(client, published + BATCH);
    for (const one of [honest, client]) {
      expect(prices(one)).toEqual(upTo(published + BATCH));
      expect(one.disconnects).toEqual([]);
    }
    expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('for SLOW_TIMEOUT is closed and logged; the stock client reconnects and gets every signal', async () => {
    const pod = await Pod.start(cleanup, { SLOW_TIMEOUT: '2000' });
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const { door, client } = await behindDoor(pod);
    door.pause();
    const published = await publishAll(pod, honest);
    await until('the slow client to be closed', async () => (await cuts(pod)) === 1, { seen: () => pod.output() });
    const told = (): number => pod.logs().filter(({ reason }) => reason === 'slow client').length;
    await until('the log to tell of it', () => told() > 0, { seen: () => pod.output() });
    expect(told()).toBe(1);
    door.resume();
    await has(client, published);
    await publish(pod, published, honest);
    await has(client, published + BATCH);
    expect(client.disconnects).toHaveLength(1);
    expect(client.socket.recovered).toBe(true);
    expect(honest.disconnects).toEqual([]);
    for (const one of [honest, client]) expect(prices(one)).toEqual(upTo(published + BATCH));
    expect(await pod.metric('gateway_slow_clients_total')).toBe(1);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('again and again, each time for less than SLOW_TIMEOUT, is not closed', async () => {
    const pod = await Pod.start(cleanup, { SLOW_TIMEOUT: '5000' });
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const { door, client } = await behindDoor(pod);
    let published = 0;
    for (let round = 0; round < 3; round++) {
      door.pause();
      for (let i = 0; i < BATCHES / 2; i++) published = await publish(pod, published, honest);
      // It is how the client reads, and longer than SLOW_TIMEOUT in all.
      await sleep(2500);
      door.resume();
      await has(client, published);
    }
    expect(prices(client)).toEqual(upTo(published));
    expect(client.disconnects).toEqual([]);
    expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
  });
});

describe('a long-polling client that never polls', () => {
  test('is closed after SLOW_TIMEOUT, what waits for it is counted until then, and nobody else misses a signal', async () => {
    const pod = await Pod.start(cleanup, { SLOW_TIMEOUT: '5000' });
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
    const slow = await RawClient.connect(pod.port);
    cleanup.add(slow, () => slow.socket.destroy());
    const sid = await slow.handshake();
    await slow.post(sid, '40');
    await until('both to be connected', async () => (await pod.metric('gateway_connections')) === 2);

    const published = await publish(pod, 0, honest);
    const isCounted = async (): Promise<boolean> => (await pod.metric('gateway_buffered_bytes')) > PADDING.length;
    await until('what waits for it to be counted', isCounted, { seen: () => pod.output() });
    await until('it to be closed', async () => (await cuts(pod)) === 1, { seen: () => pod.output() });
    expect(prices(honest)).toEqual(upTo(published));
    expect(honest.disconnects).toEqual([]);
    await until('the slow client to be gone', async () => (await pod.metric('gateway_sessions')) === 1);
    const late = await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
    expect(late.status).toBe(400);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('is closed before that if it asks for answers that it does not fetch, of more than MAX_BACKPRESSURE', async () => {
    // Fewer answers than a client may ask for in one go.
    const limit = 65_536;
    const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: String(limit) });
    const client = await RawClient.connect(pod.port);
    cleanup.add(client, () => client.socket.destroy());
    const sid = await client.handshake();
    await client.post(sid, '40');
    const topics = Array.from({ length: 1024 }, (_, i) => `S${i}`);
    let asked = 0;
    await until(
      'it to be closed',
      async () => {
        asked++;
        await client.post(sid, `420["subscribe",${JSON.stringify(topics)}]`).catch(() => {});
        return (await cuts(pod)) === 1;
      },
      { limit: 20_000, seen: () => pod.output() },
    );
    // Each answer has the topics in it.
    expect(asked * JSON.stringify(topics).length).toBeLessThan(2 * limit);
    expect(await pod.metric('gateway_slow_clients_total')).toBe(1);
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });
});

test('a stock client on long-polling for which more than MAX_BACKPRESSURE is published at once gets all of it', async () => {
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: '65536' });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
  const published = await publish(pod, 0, client);
  expect(prices(client)).toEqual(upTo(published));
  expect(client.disconnects).toEqual([]);
  expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
});

test('a stock client on long-polling gets signals of which one alone is more than MAX_BACKPRESSURE, and stays connected', async () => {
  const pod = await Pod.start(cleanup, { MAX_BACKPRESSURE: '1024' });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
  // One after the other: some come between two polls, and wait for the next.
  for (let price = 0; price < 60; price++) {
    expect((await pod.post('/v1/signals', signal(price, { padding: PADDING }))).status).toBe(202);
  }
  await has(client, 60);
  expect(prices(client)).toEqual(upTo(60));
  expect(client.disconnects).toEqual([]);
  expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
});
