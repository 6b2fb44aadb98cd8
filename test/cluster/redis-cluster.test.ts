import type { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function feed(): Promise<{ redis: RedisCluster; pods: Pod[]; clients: FeedClient[]; nodes: Redis[] }> {
  const redis = await RedisCluster.start(cleanup);
  const pods = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await Promise.all(
    pods.flatMap((pod) =>
      ['websocket', 'polling'].map((transport) => FeedClient.connect(cleanup, pod.url, { transports: [transport] })),
    ),
  );
  return { redis, pods, clients, nodes: redis.nodeClients(cleanup) };
}

function pricesOf(client: FeedClient): number[] {
  return client.signals.map(([payload]) => (payload as { price: number }).price);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

async function everyoneHas(clients: readonly FeedClient[], count: number): Promise<void> {
  await until(`${count} signals at every client`, () => clients.every(({ signals }) => signals.length >= count), {
    seen: () => clients,
    limit: 30_000,
  });
}

/** The node that a pod's subscriber is connected to, as an index. */
async function nodeOfSubscriber(nodes: readonly Redis[], pod: Pod): Promise<number> {
  const name = ` name=signal-gateway:${pod.name}:subscriber `;
  const { found } = await until('the node of the subscriber', async () => {
    const up = [...nodes.entries()].filter(([, node]) => node.status === 'ready');
    for (const [index, node] of up) if (String(await node.client('LIST')).includes(name)) return { found: index };
    return undefined;
  });
  return found;
}

test('500 signals published on random nodes reach every client of three pods once', async () => {
  const { pods, clients, nodes } = await feed();
  const publishedOn = nodes.map((): number[] => []);
  for (const price of upTo(500)) {
    const index = Math.floor(Math.random() * nodes.length);
    await nodes[index]?.publish('new_signal', JSON.stringify(signal(price)));
    publishedOn[index]?.push(price);
  }
  await everyoneHas(clients, 500);

  for (const client of clients) {
    const prices = pricesOf(client);
    expect([...prices].toSorted((a, b) => a - b)).toEqual(upTo(500));
    // A cluster promises an order between messages of one node only: each node forwards on links of its own.
    for (const mine of publishedOn) {
      const ofNode = new Set(mine);
      expect(prices.filter((price) => ofNode.has(price))).toEqual(mine);
    }
    expect(client.statuses).toEqual([]);
    expect(client.disconnects).toEqual([]);
  }
  expect(pods.flatMap((pod) => pod.faults())).toEqual([]);
}, 120_000);

test('500 signals published on one node, and what the publish API takes, arrive in order at three pods', async () => {
  const { pods, clients, nodes } = await feed();
  for (const price of upTo(500)) await nodes[0]?.publish('new_signal', JSON.stringify(signal(price)));
  await everyoneHas(clients, 500);
  for (const [index, pod] of pods.entries()) {
    const first = 501 + index * 2;
    const answer = await pod.post('/v1/signals', [signal(first), signal(first + 1)]);
    expect(answer.status).toBe(202);
    await everyoneHas(clients, first + 1);
  }

  for (const client of clients) {
    expect(client.signals.map(([payload]) => payload)).toEqual(upTo(506).map((price) => signal(price)));
    expect(client.statuses).toEqual([]);
    expect(client.disconnects).toEqual([]);
  }
}, 120_000);

test('clients are notified when a node of the cluster is killed, and what was published meanwhile arrives once it is back', async () => {
  const { redis, pods, clients, nodes } = await feed();
  const [pod] = pods;
  if (pod === undefined) throw new Error('no pod');
  const victim = await nodeOfSubscriber(nodes, pod);
  await nodes[victim]?.publish('new_signal', JSON.stringify(signal(1)));
  await everyoneHas(clients, 1);

  await redis.nodes[victim]?.kill();
  // A cluster that has lost a part of its slots takes no writes, and so nothing into the journal, until that is back.
  await until(
    'the clients to be told of the loss',
    () => clients.every(({ gatewayStates }) => gatewayStates.at(-1) === 'degraded'),
    { seen: () => clients, limit: 30_000 },
  );
  const survivor = nodes[(victim + 1) % nodes.length];
  // On any of them: each pod takes one at random.
  const living = nodes.filter((_, index) => index !== victim);
  await until('a pod to be subscribed on a node that lives', async () => {
    const answers = await Promise.all(living.map((node) => node.pubsub('NUMSUB', 'new_signal')));
    return answers.some(([, count]) => Number(count) > 0);
  });
  for (const price of [2, 3, 4]) await survivor?.publish('new_signal', JSON.stringify(signal(price)));

  await redis.nodes[victim]?.restart();
  await redis.ready(cleanup);
  await until(
    'the clients to be told of the return',
    () => clients.every(({ gatewayStates }) => gatewayStates.at(-1) === 'active'),
    { seen: () => clients, limit: 30_000 },
  );
  await everyoneHas(clients, 4);
  await nodes[victim]?.publish('new_signal', JSON.stringify(signal(5)));
  await everyoneHas(clients, 5);
  let price = 5;
  for (const one of pods) {
    await until(
      'the publish API to reach the cluster',
      async () => (await one.post('/v1/signals', signal(price + 1))).status === 202,
      { limit: 30_000, seen: () => one.output() },
    );
    price += 1;
    await everyoneHas(clients, price);
  }

  for (const client of clients) {
    expect(pricesOf(client)).toEqual(upTo(8));
    expect(client.disconnects).toEqual([]);
  }
  expect(pods.flatMap((one) => one.faults())).toEqual([]);
}, 120_000);
