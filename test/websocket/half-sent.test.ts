import { afterEach, expect, test } from 'vitest';
import { frame } from '../support/hostile.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const MEBIBYTE = 1024 * 1024;
const HOSTILE = 120;

test('clients that send all but the end of a large message do not fill the memory: they are cut, and nobody else is', async () => {
  const pod = await Pod.start(cleanup, { MEMORY_LIMIT: String(200 * MEBIBYTE), MAX_MEMORY_PERCENT: '75' });
  const honest = [
    await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] }),
    await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] }),
    await FeedClient.connect(cleanup, pod.url),
  ];
  const part = frame(Buffer.alloc(MEBIBYTE - 100, 120), 1, MEBIBYTE);
  const hostile = await Promise.all(
    Array.from({ length: HOSTILE }, async (_, i) => {
      const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
      // A third over long-polling, a third on a WebSocket that engine.io serves.
      if (i % 3 === 0) {
        const sid = await client.handshake();
        await client.post(sid, '40');
        client.socket.write(
          RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': MEBIBYTE - 10 }),
        );
        return client;
      }
      if (i % 3 === 1) {
        await client.open();
        return client;
      }
      const probe = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
      await probe.open(await client.handshake());
      await probe.send(RawClient.frame('2probe'));
      await probe.take('3probe');
      await probe.send(RawClient.frame('5'));
      return probe;
    }),
  );
  await Promise.all(hostile.map((client) => client.send(part)));
  await until('the memory to be short', async () => (await pod.metric('gateway_memory_share')) > 0.75);
  await until('them to be cut', () => hostile.every(({ closed }) => closed), { limit: 40_000 });
  // Also those over long-polling, which uWebSockets.js would end some time.
  const kinds = { reason: 'memory' };
  expect(await pod.metric('gateway_disconnects_total', kinds)).toBeGreaterThanOrEqual(HOSTILE / 3);
  await until('the memory to be back', async () => (await pod.metric('gateway_memory_share')) < 0.75);
  await pod.ready();
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => honest.every(({ signals }) => signals.length === 1), { seen: () => honest });
  expect(honest.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
}, 90_000);
