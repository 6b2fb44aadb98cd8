import { afterEach, expect, test } from 'vitest';
import { FrontDoor } from '../support/front-door.js';
import { everyoneHas, everyoneIsTold, FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { expectSlowReadersComplete } from '../support/slow-readers.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

// test/long/cluster/slow-readers.test.ts does the same with 200.
test(
  '40 clients that read at random speeds, some stopped for seconds, keep their connections and get everything in order',
  { timeout: 300_000 },
  () => expectSlowReadersComplete(cleanup, 40),
);

test('a client that is behind while the link to Redis is lost is told so when it reads on', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const slow: { door: FrontDoor; client: FeedClient }[] = [];
  for (const transport of ['websocket', 'polling']) {
    const door = await FrontDoor.open(cleanup, [pod]);
    slow.push({ door, client: await FeedClient.connect(cleanup, door.url, { transports: [transport] }) });
  }
  const clients = slow.map(({ client }) => client);
  let price = 0;
  // More than the kernels between a pod and a client take.
  const fallBehind = async (): Promise<void> => {
    for (const { door } of slow) door.pause();
    for (let i = 0; i < 10; i++) {
      const batch = Array.from({ length: 100 }, () => signal(price++, { padding: 'x'.repeat(15_000) }));
      expect((await pod.post('/v1/signals', batch)).status).toBe(202);
      await everyoneHas([honest], price - 1);
    }
  };
  await fallBehind();
  await redis.kill();
  await everyoneIsTold([honest], 'degraded');
  for (const { door } of slow) door.resume();
  await everyoneHas(clients, price - 1);
  await everyoneIsTold(clients, 'degraded');
  expect(clients.map(({ disconnects }) => disconnects)).toEqual([[], []]);
});
