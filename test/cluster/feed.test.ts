import { afterEach, expect, test } from 'vitest';
import { Cleanup } from '../support/processes.js';
import { FeedClient, Pod } from '../support/pod.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']];

test('500 signals published once reach each of 30 clients on 3 pods once, in order, field by field', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      FeedClient.connect(cleanup, pods[i % 3]?.url ?? '', { transports: TRANSPORTS[Math.floor(i / 3) % 3] ?? [] }),
    ),
  );
  const producer = redis.client(cleanup);
  const expected = Array.from({ length: 500 }, (_, i) => signal(i + 0.5));
  for (const one of expected) await producer.publish('new_signal', JSON.stringify(one));
  await producer.publish('status_update', JSON.stringify(status()));

  await until(
    'every client to have the status that was published last',
    () => clients.every((c) => c.statuses.length > 0),
    {
      seen: () => clients,
    },
  );
  for (const client of clients) {
    expect(client.signals.map(([payload]) => payload)).toEqual(expected);
    expect(client.statuses.map(([payload]) => payload)).toEqual([status()]);
    expect(client.welcomes.map(([payload]) => payload)).toEqual([
      { message: 'Successfully connected to Quantum Trader Pro real-time feed.' },
    ]);
    expect(client.other).toEqual([]);
    expect(client.disconnects).toEqual([]);
  }
  // Those that start with polling and may upgrade have done so, and missed nothing on the way.
  const upgraded = clients.filter((_, i) => Math.floor(i / 3) % 3 === 2);
  expect(new Set(upgraded.map((c) => c.socket.io.engine.transport.name))).toEqual(new Set(['websocket']));
});
