import type { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod, everyoneHas, everyoneIsTold } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const DEGRADED = { service: 'gateway', status: 'degraded', message: expect.any(String) as string };
const ACTIVE = { service: 'gateway', status: 'active', message: expect.any(String) as string };

/** Two pods on one Redis, each with a client on WebSocket and one on long-polling. */
async function feed(): Promise<{ redis: RedisServer; pods: Pod[]; clients: FeedClient[]; producer: Redis }> {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await Promise.all(
    pods.flatMap((pod) =>
      ['websocket', 'polling'].map((transport) => FeedClient.connect(cleanup, pod.url, { transports: [transport] })),
    ),
  );
  return { redis, pods, clients, producer: redis.client(cleanup) };
}

async function publish(producer: Redis, from: number, to: number): Promise<void> {
  for (let price = from; price <= to; price++) await producer.publish('new_signal', JSON.stringify(signal(price)));
}

function expectPrices(client: FeedClient, from: number, to: number): void {
  expect(client.signals.map(([payload]) => payload)).toEqual(
    Array.from({ length: to - from + 1 }, (_, i) => signal(from + i)),
  );
}

test('a Redis that is killed and started again costs no connection, and the clients are notified of each, once', async () => {
  const { redis, pods, clients, producer } = await feed();
  await publish(producer, 1, 50);
  await everyoneHas(clients, 50);

  await redis.kill();
  await Promise.all(pods.map((pod) => pod.notReady('redis')));
  await everyoneIsTold(clients, 'degraded');

  const late: FeedClient[] = [];
  const heard: string[][] = [];
  for (const pod of pods) {
    const client = new FeedClient(cleanup, pod.url, { transports: ['websocket'] });
    const events: string[] = [];
    client.socket.onAny((event: string) => events.push(event));
    late.push(client);
    heard.push(events);
  }
  await everyoneIsTold(late, 'degraded');
  // Whoever publishes is given the reason of the system, not what the library makes of it.
  let refused = '';
  await until(
    'a publish request to be refused with the reason',
    async () => {
      refused = await ((await pods[0]?.post('/v1/signals', signal(0))) ?? new Response()).text();
      return refused.includes('ECONNREFUSED');
    },
    { seen: () => refused },
  );
  expect(JSON.parse(refused)).toMatchObject({ status: 503, code: 'publish_unavailable' });
  expect(heard).toEqual(pods.map(() => ['status_update', 'welcome']));

  await redis.restart();
  await Promise.all(pods.map((pod) => pod.ready()));
  await publish(producer, 51, 100);
  await everyoneHas([...clients, ...late], 100);

  for (const client of clients) expectPrices(client, 1, 100);
  for (const client of late) expectPrices(client, 51, 100);
  for (const client of [...clients, ...late]) {
    expect(client.statuses).toEqual([[DEGRADED], [ACTIVE]]);
    expect(client.welcomes).toHaveLength(1);
    expect(client.disconnects).toEqual([]);
  }
  expect(pods.flatMap((pod) => pod.faults())).toEqual([]);
}, 120_000);

test('a Redis that stops answering with its sockets open is noticed, and so is its return', async () => {
  const { redis, pods, clients, producer } = await feed();
  await publish(producer, 1, 20);
  await everyoneHas(clients, 20);

  await redis.kill('SIGSTOP');
  await Promise.all(pods.map((pod) => pod.notReady('redis')));
  await everyoneIsTold(clients, 'degraded');

  await redis.kill('SIGCONT');
  await Promise.all(pods.map((pod) => pod.ready()));
  await publish(producer, 21, 60);
  await everyoneHas(clients, 60);

  for (const client of clients) {
    expectPrices(client, 1, 60);
    expect(client.statuses).toEqual([[DEGRADED], [ACTIVE]]);
    expect(client.disconnects).toEqual([]);
  }
}, 120_000);

test('a pod whose subscriber connection alone is cut subscribes again by itself', async () => {
  const { pods, clients, producer } = await feed();
  const [pod] = pods;
  const name = `signal-gateway:${pod?.name}:subscriber`;
  const connectionId = async (): Promise<string | undefined> => {
    const list = String(await producer.client('LIST'));
    const line = list.split('\n').find((one) => one.includes(` name=${name} `));
    return line === undefined ? undefined : /^id=(\d+)/.exec(line)?.[1];
  };
  const before = await until('the subscriber in the list of connections', connectionId);

  expect(await producer.client('KILL', 'ID', before)).toBe(1);
  await until('a new subscriber connection', async () => {
    const now = await connectionId();
    return now !== undefined && now !== before;
  });
  await everyoneIsTold(clients.slice(0, 2), 'active');
  await publish(producer, 1, 50);
  await everyoneHas(clients, 50);

  for (const client of clients) expectPrices(client, 1, 50);
  for (const client of clients.slice(0, 2)) expect(client.statuses).toEqual([[DEGRADED], [ACTIVE]]);
  // The other pod's link was not touched: its clients hear nothing of it.
  for (const client of clients.slice(2)) expect(client.statuses).toEqual([]);
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
}, 120_000);
