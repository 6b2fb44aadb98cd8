import { afterEach, expect, test } from 'vitest';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { CheckedClient, connected, summary } from '../support/checked-client.js';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Options of a client that comes from an address of its own, as a proxy says. */
function from(address: string): object {
  return { transports: ['websocket'], extraHeaders: { 'X-Forwarded-For': address }, auth: { topics: ['CONNECT'] } };
}

async function choosing(door: FrontDoor, address: string): Promise<FeedClient> {
  const client = await FeedClient.connect(cleanup, door.url, from(address));
  const answer = (await client.socket.emitWithAck('subscribe', ['A'])) as SubscribeAnswer;
  expect(answer).toMatchObject({ ok: true });
  return client;
}

async function expectsTopicA(client: FeedClient, pod: Pod): Promise<void> {
  expect(client.socket.recovered).toBe(true);
  const body = ['CONNECT', 'A'].map((symbol, i) => signal(i, { symbol }));
  await until('to publish', async () => (await pod.post('/v1/signals', body)).status === 202);
  await until('the signal', () => client.signals.length > 0, { seen: () => client });
  expect(client.signals.map(([payload]) => (payload as { symbol: string }).symbol)).toEqual(['A']);
}

test('while Redis is away, clients get what they missed from the memory of the pod, once and in order', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const door = await FrontDoor.open(cleanup, [pod]);
  const clients = ['websocket', 'polling', 'websocket', 'polling'].map(
    (transport) => new CheckedClient(cleanup, door.url, { transports: [transport], reconnection: false }),
  );
  await connected(clients);
  for (const client of clients) client.socket.io.engine.close();
  await until('the clients to be away', async () => (await pod.metric('gateway_sessions')) === 0);
  const body = Array.from({ length: 50 }, (_, i) => signal(i));
  expect((await pod.post('/v1/signals', body)).status).toBe(202);
  await until('the pod to have read them', async () => (await pod.metric('gateway_journal_seq')) > 0);
  await redis.kill();
  await pod.notReady('redis');
  for (const client of clients) client.socket.connect();
  await until('the clients to have what they missed', () => clients.every(({ got }) => got.size === 50), {
    seen: () => clients,
  });
  expect(summary(clients)).toMatchObject({ gaps: 0, reconnects: 4, recovered: 4, bad: [] });
  expect(await pod.metric('gateway_recoveries_total', { result: 'retry' })).toBe(0);
});

test('a client that has chosen topics waits for a Redis that is away for a moment, and keeps them', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, TRUST_PROXY: '1' });
  const door = await FrontDoor.open(cleanup, [pod]);
  const client = await choosing(door, '192.0.2.1');
  await redis.kill();
  await pod.notReady('redis');
  door.cut();
  await until(
    'the client to wait',
    async () => !client.socket.connected && (await pod.metric('gateway_sessions')) === 1,
  );
  await redis.restart();
  await client.welcomed(2);
  expect(client.disconnects).toHaveLength(1);
  await expectsTopicA(client, pod);
});

test('a client that cannot be recovered is refused with a code until Redis is back, and nobody else is', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, TRUST_PROXY: '1' });
  const door = await FrontDoor.open(cleanup, [pod]);
  const client = await choosing(door, '192.0.2.1');
  const refusals: unknown[] = [];
  client.socket.on('connect_error', (error) => {
    const { context } = error as Error & { context?: { statusCode?: number } };
    refusals.push(context?.statusCode);
  });
  await redis.kill();
  await pod.notReady('redis');
  door.cut();
  await until(
    'refusals',
    async () => (await pod.metric('gateway_refusals_total', { reason: 'recovery_unavailable' })) > 3,
    {
      seen: () => client,
    },
  );
  expect(refusals.length).toBeGreaterThan(0);
  expect(await pod.metric('gateway_recoveries_total', { result: 'retry' })).toBeGreaterThan(0);
  // Until its pause is over, the address is refused without a look.
  const other = await FeedClient.connect(cleanup, door.url, from('192.0.2.2'));
  expect(other.disconnects).toEqual([]);
  const answer = await until('the address to be refused', async () => {
    const one = await fetch(`${pod.url}/socket.io/?EIO=4&transport=polling`, {
      headers: { 'x-forwarded-for': '192.0.2.1' },
    });
    return one.status === 503 && one;
  });
  expect(answer.headers.get('retry-after')).toBe('5');
  expect(await answer.json()).toMatchObject({ code: 'recovery_unavailable' });
  await redis.restart();
  await client.welcomed(2);
  await expectsTopicA(client, pod);
});
