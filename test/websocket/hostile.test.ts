import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { BINARY, frame, open, repeat, throwAt } from '../support/hostile.js';
import { MEASURED, memoryOf } from '../support/memory.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { Random } from '../support/random.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HONEST = 200;
const SIGNALS_A_SECOND = 20;

const CONNECT = frame(Buffer.from('40'));

/** What hostile clients do, all with one pod; `share` of it. */
const ATTACKS: Readonly<Record<string, (pod: Pod, random: Random, share: number) => Promise<unknown>>> = {
  // First, since Engine.IO waits 30 s for the poll of a session that it is closing.
  'abuse of polling': (pod, _random, share) =>
    repeat(200 * share, 10, async (i) => {
      const [one, other] = [await RawClient.connect(pod.port), await RawClient.connect(pod.port)];
      try {
        const query = `transport=polling&sid=${await one.handshake()}`;
        const requests = [
          RawClient.request('POST', query, { 'content-length': 1_000_000_000 }),
          RawClient.request('POST', query, { 'content-type': 'application/octet-stream', 'content-length': 2 }),
          RawClient.request('POST', query),
          RawClient.request('GET', query).repeat(20),
          RawClient.request('GET', 'transport=polling&sid=__proto__'),
          `${RawClient.request('POST', query, { 'content-length': 9 })}40\x1e40`,
        ];
        await one.send(requests[i % requests.length] ?? '');
        await other.send(requests[(i + 3) % requests.length] ?? '');
        await sleep(100);
      } finally {
        one.socket.destroy();
        other.socket.destroy();
      }
    }),
  'slow handshakes': (pod, _random, share) =>
    repeat(300 * share, 300, async () => {
      const socket = await open(pod.port);
      for (const part of ['GET /socket', '.io/?EIO=4', '&transport=web', 'socket HTTP/1.1\r\nho']) {
        socket.write(part);
        await sleep(400);
      }
      socket.destroy();
    }),
  '5,000 half-open connections': async (pod, _random, share) => {
    const sockets: Socket[] = [];
    await repeat(5000 * share, 50, async () => {
      sockets.push(await open(pod.port));
    });
    await sleep(2000);
    for (const socket of sockets) socket.destroy();
  },
  'garbage frames': (pod, random, share) => repeat(300 * share, 10, () => throwAt(pod.port, random.bytes(200), 100)),
  'oversized frames': (pod, _random, share) =>
    repeat(100 * share, 10, (i) =>
      throwAt(pod.port, Buffer.concat([CONNECT, frame(Buffer.alloc(20_000, 120), 1, [20_000, 2 ** 31][i % 2])]), 100),
    ),
  'packets that nest deeply': (pod, _random, share) =>
    repeat(50 * share, 10, () =>
      throwAt(pod.port, Buffer.concat([CONNECT, frame(Buffer.from(`42${'['.repeat(16_000)}`))]), 100),
    ),
  'binary attachments without end': (pod, _random, share) =>
    repeat(100 * share, 10, () => {
      const head = frame(Buffer.from('4599999-["a",{"_placeholder":true,"num":0}]'));
      const parts = Array.from({ length: 50 }, () => frame(Buffer.alloc(16_000), BINARY));
      return throwAt(pod.port, Buffer.concat([CONNECT, head, ...parts]), 200);
    }),
  'floods of events': (pod, _random, share) =>
    repeat(100 * share, 10, () => {
      const events = Array.from({ length: 2000 }, () => frame(Buffer.from('42["subscribe",["A","B"]]')));
      return throwAt(pod.port, Buffer.concat([CONNECT, ...events]), 200);
    }),
  'header bombs': (pod, _random, share) =>
    repeat(200 * share, 20, async (i) => {
      const socket = await open(pod.port);
      const bomb = i % 2 === 0 ? `x: ${'y'.repeat(100_000)}\r\n` : 'a: b\r\n'.repeat(20_000);
      socket.write(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: ${HOST}\r\n${bomb}`);
      await sleep(50);
      socket.destroy();
    }),
};

test(`${HONEST} honest clients miss nothing while hostile ones do their worst, and its traces go`, async () => {
  const pod = await Pod.start(cleanup, {}, { nodeArgs: MEASURED });
  const clients = Array.from(
    { length: HONEST },
    () => new CheckedClient(cleanup, pod.url, { transports: ['websocket'] }),
  );
  await until('the honest clients', () => clients.every(({ last }) => last !== undefined), { seen: () => clients[0] });
  let sent = 0;
  const producer = setInterval(() => void pod.post('/v1/signals', signal(sent++)), 1000 / SIGNALS_A_SECOND);
  cleanup.add(producer, clearInterval);
  const random = new Random(1);
  const storm = async (share: number): Promise<void> => {
    for (const attack of Object.values(ATTACKS)) await attack(pod, random, share);
    await until('the hostile ones to be gone', async () => (await pod.metric('gateway_sessions')) === HONEST, {
      seen: () => pod.child.stderr,
    });
  };
  // Once before, so that everything that is made only once is there.
  await storm(0.2);
  const before = await memoryOf(pod);
  await storm(1);
  const after = await memoryOf(pod);
  expect(after / before).toBeLessThan(1.1);

  clearInterval(producer);
  await until('every signal at every client', () => clients.every(({ last }) => last?.seq === sent), {
    seen: () => [sent, clients.find(({ last }) => last?.seq !== sent)],
  });
  expect(sent).toBeGreaterThan(100);
  expect(summary(clients)).toEqual({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    reconnects: 0,
    recovered: 0,
    bad: [],
  });
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  expect(pod.child.exited).toBe(false);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  expect(await pod.metric('gateway_floods_total')).toBeGreaterThan(0);
}, 150_000);
