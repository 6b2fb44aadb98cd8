import { randomBytes } from 'node:crypto';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { FeedClient, type Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { sharedPods } from '../../support/shared-pods.js';
import { signal } from '../../support/signals.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

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
  const { compressed, plain } = await bytesOfBoth(await shared({}));
  expect(compressed).toBe(plain);
});

test.each(['shared', 'dedicated'])(
  'with COMPRESSION=%s a client that offers compression gets every signal in fewer bytes, and another one as ever',
  async (way) => {
    const { compressed, plain } = await bytesOfBoth(await shared({ COMPRESSION: way }));
    expect(compressed).toBeLessThan(way === 'dedicated' ? plain / 2 : plain);
  },
);

test('a client that is recovered is sent what it missed compressed, in order', async () => {
  const pod = await shared({ COMPRESSION: 'dedicated' });
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
  const pod = await shared({ COMPRESSION: 'shared' });
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

/** What ends a message before it goes into an inflater (RFC 7692, 7.2.2). */
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);

/** One data frame as the server sent it. */
interface Frame {
  readonly compressed: boolean;
  readonly payload: Buffer;
}

/** The whole frames in what was received (RFC 6455, 5.2); the gateway sends none in fragments. */
function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const short = bytes.readUInt8(at + 1);
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (at + head > bytes.length) break;
    const length =
      short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
    if (at + head + length > bytes.length) break;
    frames.push({
      compressed: (bytes.readUInt8(at) & 0x40) !== 0,
      payload: bytes.subarray(at + head, at + head + length),
    });
    at += head + length;
  }
  return frames;
}

/** The messages in frames, read by a client that has only the window that was agreed on. */
function textOf(frames: readonly Frame[], windowBits: number, takeover: boolean): string {
  const packed = frames.filter(({ compressed }) => compressed).map(({ payload }) => Buffer.concat([payload, TAIL]));
  const plain = frames.filter(({ compressed }) => !compressed).map(({ payload }) => payload.toString());
  const inflate = (data: Buffer): string =>
    inflateRawSync(data, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).toString();
  return [...plain, ...(takeover ? [inflate(Buffer.concat(packed))] : packed.map(inflate))].join('\n');
}

const ANSWERS = {
  shared: 'permessage-deflate; client_no_context_takeover; server_no_context_takeover',
  dedicated: 'permessage-deflate; client_no_context_takeover; server_max_window_bits=9',
} as const;

/** What clients offer; whether it is taken by each way of compressing. */
const OFFERED: readonly (readonly [offer: string, shared: boolean, dedicated: boolean])[] = [
  ['permessage-deflate', true, true],
  // The stock client and browsers.
  ['permessage-deflate; client_max_window_bits', true, true],
  // python-websockets with a limit ends the connection when that is not answered.
  ['permessage-deflate; server_max_window_bits=12; client_max_window_bits=12', false, true],
  ['permessage-deflate; server_max_window_bits=9', false, true],
  ['permessage-deflate; server_max_window_bits=8', false, false],
  ['permessage-deflate; server_no_context_takeover', true, false],
  ['permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits', true, true],
  ['permessage-deflate; server_max_window_bits="15"', false, true],
  ['permessage-deflate; unknown', false, false],
  ['x-webkit-deflate-frame', false, false],
];

describe.each(['shared', 'dedicated'] as const)('with COMPRESSION=%s an offer is answered as RFC 7692 says', (way) => {
  test.each(['a session that begins on a WebSocket', 'a session that upgrades from long-polling'])(
    '%s',
    async (kind) => {
      const pod = await shared({ COMPRESSION: way });
      for (const [offer, takenByShared, takenByDedicated] of OFFERED) {
        const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
        const session = await polling(pod);
        const sid = kind.includes('upgrades') ? await session.handshake() : undefined;
        await client.send(RawClient.upgrade(sid).replace('\r\n\r\n', `\r\nSec-WebSocket-Extensions: ${offer}\r\n\r\n`));
        const head = await client.take('\r\n\r\n');
        expect(head).toContain('101 Switching Protocols');
        const answer = /^sec-websocket-extensions: (.*)$/im.exec(head)?.[1]?.trim();
        const isTaken = way === 'shared' ? takenByShared : takenByDedicated;
        expect([offer, answer]).toEqual([offer, isTaken ? ANSWERS[way] : undefined]);
        client.socket.destroy();
        if (sid !== undefined) await session.post(sid, '1');
      }
    },
  );

  test('what is sent can be read with no more than the window that was agreed on', async () => {
    const pod = await shared({ COMPRESSION: way });
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(
      RawClient.upgrade().replace('\r\n\r\n', '\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n'),
    );
    await client.take('\r\n\r\n');
    await client.send(RawClient.frame('40'));
    // Noise that comes again after more than a small window, within a message and in the next one.
    const noise = randomBytes(2400).toString('base64');
    const note = noise + noise + noise;
    const sizes = [0, 50, 600, 3200, note.length];
    const signals = Array.from({ length: 25 }, (_, i) => signal(i, { note: note.slice(0, sizes[i % sizes.length]) }));
    await until('the client to be connected', async () => (await pod.metric('gateway_connections')) === 1);
    for (const one of signals) expect((await pod.post('/v1/signals', one)).status).toBe(202);
    const read = (): string => textOf(framesOf(client.received), way === 'shared' ? 15 : 9, way === 'dedicated');
    await until('the last signal', () => read().includes('"price":24,'), { seen: () => client.received.length });
    const got = [...read().matchAll(/"price":(\d+),.*?"note":"(.*?)"/g)].map(([, price, text]) => [
      Number(price),
      text,
    ]);
    expect(got).toEqual(signals.map(({ price, note: text }) => [price, text]));
    expect(framesOf(client.received).filter(({ compressed }) => compressed).length).toBeGreaterThanOrEqual(25);
  });
});

async function polling(pod: Pod): Promise<RawClient> {
  return cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
}
