import { deflateRawSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SIGNALS = 200;
const SIGNAL_BATCHES = 4;
const DEFLATE = { transports: ['websocket'], perMessageDeflate: { threshold: 0 } };
/** The client's typings do not know that it takes `false`. */
const NO_DEFLATE = { transports: ['websocket'], perMessageDeflate: false as never };

/** Bytes that a client has read from its connection. */
function bytesRead(client: FeedClient): number {
  const { transport } = client.socket.io.engine as unknown as { transport: { ws: { _socket: { bytesRead: number } } } };
  return transport.ws._socket.bytesRead;
}

/** Publishes signals and returns what two clients have read of each: one that takes compressed messages, one that does not. */
async function bytesOfBoth(pod: Pod): Promise<{ compressed: number; plain: number }> {
  const compressed = await FeedClient.connect(cleanup, pod.url, DEFLATE);
  const plain = await FeedClient.connect(cleanup, pod.url, NO_DEFLATE);
  const before = { compressed: bytesRead(compressed), plain: bytesRead(plain) };
  for (let batch = 0; batch < SIGNAL_BATCHES; batch++) {
    const size = SIGNALS / SIGNAL_BATCHES;
    const signals = Array.from({ length: size }, (_, i) => signal(batch * size + i));
    expect((await pod.post('/v1/signals', signals)).status).toBe(202);
  }
  for (const client of [compressed, plain]) {
    await until('every signal', () => client.signals.length === SIGNALS, { seen: () => client.signals.length });
    expect(client.signals.map(([payload]) => (payload as { price: number }).price)).toEqual(
      Array.from({ length: SIGNALS }, (_, i) => i),
    );
  }
  return { compressed: bytesRead(compressed) - before.compressed, plain: bytesRead(plain) - before.plain };
}

test('nothing is compressed unless it is asked for, also for a client that offers it', async () => {
  const { compressed, plain } = await bytesOfBoth(await Pod.start(cleanup, {}));
  expect(compressed).toBe(plain);
});

test.each(['shared', 'dedicated'])(
  'with COMPRESSION=%s a client that offers compression gets every signal in fewer bytes, and another one as ever',
  async (way) => {
    const { compressed, plain } = await bytesOfBoth(await Pod.start(cleanup, { COMPRESSION: way }));
    expect(compressed).toBeLessThan(way === 'dedicated' ? plain / 2 : plain);
  },
);

test('a client that is recovered is sent what it missed compressed, in order', async () => {
  const pod = await Pod.start(cleanup, { COMPRESSION: 'dedicated' });
  const client = await FeedClient.connect(cleanup, pod.url, { ...DEFLATE, reconnectionDelay: 10 });
  await pod.post('/v1/signals', signal(0));
  await until('the first signal', () => client.signals.length === 1);
  client.socket.io.engine.close();
  await until('the client to be away', () => !client.socket.connected);
  const missed = Array.from({ length: SIGNALS }, (_, i) => signal(i + 1));
  expect((await pod.post('/v1/signals', missed)).status).toBe(202);
  await until('what was missed', () => client.signals.length === SIGNALS + 1, { seen: () => client.signals.length });
  expect(client.socket.recovered).toBe(true);
  expect(client.signals.map(([payload]) => (payload as { price: number }).price)).toEqual(
    Array.from({ length: SIGNALS + 1 }, (_, i) => i),
  );
});

test('a message that is small on the wire and huge when inflated cuts its sender alone', async () => {
  const pod = await Pod.start(cleanup, { COMPRESSION: 'shared' });
  const honest = await FeedClient.connect(cleanup, pod.url, DEFLATE);
  const hostile = await RawClient.connect(pod.port);
  cleanup.add(hostile, () => hostile.socket.destroy());
  await hostile.send(
    RawClient.upgrade().replace('\r\n\r\n', '\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n'),
  );
  await hostile.take('permessage-deflate');
  const bomb = deflateRawSync(Buffer.alloc(10_000_000, '4'));
  expect(bomb.length).toBeLessThan(16_384);
  const frame = RawClient.frame(bomb);
  // RSV1: the message is compressed (RFC 7692, 7.2.1).
  frame[0] = 0xc1;
  await hostile.send(frame);
  await until('the end of the connection', () => hostile.closed);
  await pod.post('/v1/signals', signal(1));
  await until('the honest client to get its signal', () => honest.signals.length === 1);
  expect(honest.disconnects).toEqual([]);
});
