import { Emitter } from '@socket.io/redis-emitter';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { Signal } from '../../src/contract/events.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod, everyoneHas, everyoneIsTold } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const DEGRADED = { service: 'gateway', status: 'degraded', message: expect.any(String) as string };
const ACTIVE = { service: 'gateway', status: 'active', message: expect.any(String) as string };

interface Feed {
  readonly redis: RedisSentinel;
  readonly pods: readonly Pod[];
  readonly clients: readonly FeedClient[];
  readonly producer: Redis;
}

async function feed(cleanup: Cleanup, downAfter = 1000): Promise<Feed> {
  const redis = await RedisSentinel.start(cleanup, { replicas: 2, downAfter });
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await Promise.all(
    pods.flatMap((pod) =>
      ['websocket', 'polling'].map((transport) => FeedClient.connect(cleanup, pod.url, { transports: [transport] })),
    ),
  );
  const producer = redis.client(cleanup);
  await connected(producer);
  return { redis, pods, clients, producer };
}

/** Publishes; resolves with the number of pods that Redis sent it to, -1 when Redis did not take it. */
async function publish(producer: Redis, one: Signal): Promise<number> {
  return producer.publish('new_signal', JSON.stringify(one)).catch(() => -1);
}

/** Waits until the old master is no longer the one and the pods are with the new one. */
async function failedOver({ redis, pods, clients }: Feed, oldPort: number): Promise<void> {
  await until('the sentinels to agree on a new master', async () => (await redis.master()).port !== oldPort, {
    limit: 60_000,
  });
  await everyoneIsTold(clients, 'active');
  await Promise.all(pods.map((pod) => pod.ready()));
}

/** Waits until the producer can publish to the master of the moment. */
async function connected(producer: Redis): Promise<void> {
  await until('the producer to reach the master', () => producer.ping(), { limit: 30_000 });
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  '500 signals, less those published while there was no master, reach each client once and in order',
  async ({ cleanup }) => {
    const all = await feed(cleanup);
    const { redis, pods, clients, producer } = all;
    const published: Signal[] = [];
    const refused: Signal[] = [];
    const master = await redis.master();
    expect(master).toBe(redis.servers[0]);

    for (let i = 1; i <= 500; i++) {
      const one = signal(i);
      const heardBy = await publish(producer, one);
      if (heardBy < 0) {
        refused.push(one);
        // The first ones meet a Redis that is not there; then the producer waits for the feed, as a careful one would.
        if (refused.length === 5) {
          await failedOver(all, master.port);
          await connected(producer);
        }
        continue;
      }
      // Nothing counts as published to some: either both pods were subscribed, or there was no master.
      expect(heardBy, `pods that heard signal ${i}`).toBe(pods.length);
      published.push(one);
      // No pause: the next signal goes out while the master dies.
      if (i === 250) void master.kill();
    }
    await everyoneHas(clients, 500);

    expect(refused).toHaveLength(5);
    // Those sent between the kill and the master's death may have been taken still.
    expect(published.slice(0, 250)).toEqual(Array.from({ length: 250 }, (_, i) => signal(i + 1)));
    for (const client of clients) {
      expect(client.signals.map(([payload]) => payload)).toEqual(published);
      expect(client.statuses).toEqual([[DEGRADED], [ACTIVE]]);
      expect(client.disconnects).toEqual([]);
      expect(client.welcomes).toHaveLength(1);
    }

    // The old master comes back as a replica, and nobody is moved by that.
    await master.restart();
    const returned = master.client(cleanup);
    await until(
      'the old master to be a replica',
      async () => (await returned.info('replication')).includes('role:slave'),
      {
        limit: 60_000,
      },
    );
    expect(await publish(producer, signal(501))).toBe(pods.length);
    await everyoneHas(clients, 501);
    for (const client of clients) expect(client.statuses).toEqual([[DEGRADED], [ACTIVE]]);
    expect(pods.flatMap((pod) => pod.faults())).toEqual([]);
  },
  180_000,
);

test.concurrent(
  'a master that hangs with its sockets open is left for the new one, by every connection, while it hangs',
  async ({ cleanup }) => {
    // Late enough that the pods notice first and try the hanging master again, in vain.
    const all = await feed(cleanup, 8000);
    const { redis, pods, clients, producer } = all;
    const master = await redis.master();
    expect(await publish(producer, signal(1))).toBe(pods.length);
    await everyoneHas(clients, 1);

    producer.disconnect();
    await master.kill('SIGSTOP');
    await everyoneIsTold(clients, 'degraded');
    await failedOver(all, master.port);
    const again = redis.client(cleanup);
    await connected(again);
    expect(await publish(again, signal(2))).toBe(pods.length);
    await everyoneHas(clients, 2);
    for (const pod of pods) {
      await until(
        'the publish API to reach the new master',
        async () => (await pod.post('/v1/status', status())).status === 202,
        { limit: 30_000 },
      );
    }
    await until(
      'both adapters to listen at the new master',
      async () => String(await again.client('LIST')).match(/:adapter .* psub=1 /g)?.length === pods.length,
      { limit: 30_000 },
    );
    new Emitter(again, { key: '{gateway}:socket.io' }).emit('note', 'from the new master');
    await until('the broadcast at every client', () => clients.every(({ other }) => other.length > 0), {
      seen: () => clients,
    });

    for (const client of clients) {
      expect(client.signals.map(([payload]) => payload)).toEqual([signal(1), signal(2)]);
      expect(client.gatewayStates).toEqual(['degraded', 'active']);
      expect(client.other).toEqual([['note', 'from the new master']]);
      expect(client.disconnects).toEqual([]);
    }
  },
  180_000,
);

test.concurrent(
  'a sentinel that hangs holds nobody back',
  async ({ cleanup }) => {
    const redis = await RedisSentinel.start(cleanup);
    await redis.sentinels[0]?.kill('SIGSTOP');
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
    const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    await until(
      'the publish API to reach the master',
      async () => (await pod.post('/v1/signals', signal(1))).status === 202,
      { limit: 30_000 },
    );
    await everyoneHas([client], 1);
    expect(client.signals.map(([payload]) => payload)).toEqual([signal(1)]);
  },
  120_000,
);
