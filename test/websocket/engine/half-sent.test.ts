import { expect } from 'vitest';
import type { FrameClient } from '../../support/frame-client.js';
import { frame } from '../../support/hostile.js';
import { test } from '../../support/own-cleanup.js';
import { openSocket } from '../../support/packet-client.js';
import { FeedClient, Pod } from '../../support/pod.js';
import type { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { signal } from '../../support/signals.js';
import { until } from '../../support/until.js';

const MEBIBYTE = 1024 * 1024;
const HOSTILE = 120;
/** As the image sets it: without it glibc keeps what large messages took, and the process counts as full. */
const MALLOC = { MALLOC_MMAP_THRESHOLD_: '131072' };

async function connect(cleanup: Cleanup, pod: Pod): Promise<RawClient> {
  return cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
}

/** A WebSocket that engine.io serves: its session began on long-polling. */
async function upgraded(cleanup: Cleanup, pod: Pod): Promise<RawClient> {
  const polling = await connect(cleanup, pod);
  const probe = await connect(cleanup, pod);
  await probe.open(await polling.handshake());
  await probe.send(RawClient.frame('2probe'));
  await probe.take('3probe');
  await probe.send(RawClient.frame('5'));
  return probe;
}

async function opened(cleanup: Cleanup, pod: Pod): Promise<RawClient> {
  const client = await connect(cleanup, pod);
  await client.open();
  return client;
}

async function joined(cleanup: Cleanup, pod: Pod): Promise<RawClient> {
  const client = await opened(cleanup, pod);
  await client.send(RawClient.frame('40'));
  await client.take('"welcome"');
  return client;
}

/** Reads on, and answers pings, until a message has the text. */
async function readTo(client: FrameClient, text: string): Promise<void> {
  const hasCome = (): boolean => {
    for (let message = client.messages.shift(); message !== undefined; message = client.messages.shift()) {
      if (message === '2') client.send('3');
      else if (message.includes(text)) return true;
    }
    return false;
  };
  await until(`a message with ${text}`, hasCome, { seen: () => client });
}

/** Sends all but the end of a large message. */
async function sendPart(client: RawClient): Promise<void> {
  await client.send(frame(Buffer.alloc(MEBIBYTE - 100, 120), 1, MEBIBYTE));
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'clients that send all but the end of a large message do not fill the memory: they are cut, and nobody else is',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup, {
      ...MALLOC,
      MEMORY_LIMIT: String(200 * MEBIBYTE),
      MAX_MEMORY_PERCENT: '75',
    });
    const honest = [
      await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] }),
      await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] }),
      await FeedClient.connect(cleanup, pod.url),
    ];
    const attacks = await Promise.all(
      Array.from({ length: HOSTILE }, async (_, i) => {
        // A third over long-polling, a third on a WebSocket that engine.io serves.
        if (i % 3 !== 0) return { client: await (i % 3 === 1 ? joined : upgraded)(cleanup, pod), head: '' };
        const client = await connect(cleanup, pod);
        const sid = await client.handshake();
        await client.post(sid, '40');
        const head = RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': MEBIBYTE - 10 });
        return { client, head };
      }),
    );
    // All at once when the last is there: uWebSockets.js ends by itself what is slow.
    await Promise.all(
      attacks.map(async ({ client, head }) => {
        client.socket.write(head);
        await sendPart(client);
      }),
    );
    const hostile = attacks.map(({ client }) => client);
    await until('the memory to be short', async () => (await pod.metric('gateway_memory_share')) > 0.75);
    await until('them to be cut', () => hostile.every(({ closed }) => closed), { limit: 40_000 });
    // Those over long-polling are ended by the gateway or by uWebSockets.js, whose limit for a body is about as long.
    const kinds = { reason: 'memory' };
    expect(await pod.metric('gateway_disconnects_total', kinds)).toBeGreaterThanOrEqual(HOSTILE / 3);
    await until('the memory to be back', async () => (await pod.metric('gateway_memory_share')) < 0.75);
    await pod.ready();
    await pod.post('/v1/signals', signal(1));
    await until('the signal', () => honest.every(({ signals }) => signals.length === 1), { seen: () => honest });
    expect(honest.flatMap(({ disconnects }) => disconnects)).toEqual([]);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  },
  90_000,
);

test.concurrent(
  'a client for which something waits on a slow line is not cut for its silence while memory is short',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup, {
      ...MALLOC,
      MEMORY_LIMIT: String(200 * MEBIBYTE),
      MAX_MEMORY_PERCENT: '75',
      MAX_BACKPRESSURE: String(4 * MEBIBYTE),
      PING_INTERVAL: '120000',
    });
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const behind = [
      await openSocket(cleanup, pod, 'a WebSocket'),
      await openSocket(cleanup, pod, 'a WebSocket after an upgrade'),
    ];
    for (const client of behind) {
      client.send('40');
      await readTo(client, '"welcome"');
      client.socket.pause();
    }
    let published = 0;
    const publish = async (): Promise<void> => {
      const batch = Array.from({ length: 20 }, (_, i) => signal(published + i, { padding: 'x'.repeat(15_000) }));
      published += batch.length;
      expect((await pod.post('/v1/signals', batch)).status).toBe(202);
      await until('the honest client to have it', () => honest.signals.length === published, { seen: () => honest });
    };
    // More than the kernels between take, and less than the journal keeps in this memory.
    for (let bytes = 0; bytes < 10 * MEBIBYTE; bytes += 20 * 15_000) await publish();
    const hostile = await Promise.all(Array.from({ length: HOSTILE }, () => opened(cleanup, pod)));
    await Promise.all(hostile.map(sendPart));
    await until('the memory to be short', async () => (await pod.metric('gateway_memory_share')) > 0.75);
    await until('the hostile ones to be cut', () => hostile.every(({ closed }) => closed), { limit: 40_000 });
    await until('the memory to be back', async () => (await pod.metric('gateway_memory_share')) < 0.75);
    for (const client of behind) client.socket.resume();
    for (const client of behind) await readTo(client, `"price":${published - 1},`);
    await publish();
    for (const client of behind) await readTo(client, `"price":${published - 1},`);
    expect(await pod.metric('gateway_connections')).toBe(3);
    expect(honest.disconnects).toEqual([]);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  },
  120_000,
);
