import { afterEach, describe, expect, test } from 'vitest';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod, everyoneIsTold } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe.each(['websocket', 'polling'])('over %s', (transport) => {
  test('a client that was away when Redis came back is told "active" when it reconnects, to the same pod or another', async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url };
    const [pod, other] = await Promise.all([Pod.start(cleanup, env), Pod.start(cleanup, env)]);
    const doors = await Promise.all([1, 2].map(() => FrontDoor.open(cleanup, [pod, other])));
    for (const door of doors) door.use(pod);
    const clients = await Promise.all(
      doors.map(({ url }) => FeedClient.connect(cleanup, url, { transports: [transport], reconnection: false })),
    );
    expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
    await until('the signal', () => clients.every(({ signals }) => signals.length === 1), { seen: () => clients });

    await redis.kill();
    await everyoneIsTold(clients, 'degraded');
    for (const { socket } of clients) socket.io.engine.close();
    await redis.restart();
    await Promise.all([pod.ready(), other.ready()]);
    expect((await pod.post('/v1/signals', signal(2))).status).toBe(202);
    doors[1]?.use(other);
    for (const { socket } of clients) socket.connect();

    await until('the signal that was missed', () => clients.every(({ signals }) => signals.length === 2), {
      seen: () => clients,
    });
    // What the gateway says of itself comes first: there is nothing to wait for.
    expect(clients.map(({ gatewayStates }) => gatewayStates.at(-1))).toEqual(['active', 'active']);
    expect(clients.map(({ socket }) => socket.recovered)).toEqual([true, true]);
  });
});
