import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { FRAGMENTS, PING, PONG, sendFragments, times, unfinished } from '../support/frame-floods.js';
import { TEXT, frame } from '../support/hostile.js';
import { FeedClient, type Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { sharedPods } from '../support/shared-pods.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

// Pings and pongs of the WebSocket itself (RFC 6455, section 5.5), which are no messages to anybody: uWebSockets.js answers them.

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

async function raw(pod: Pod): Promise<RawClient> {
  return cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
}

/** A client whose session began on its WebSocket. */
async function direct(pod: Pod): Promise<RawClient> {
  const client = await raw(pod);
  await client.open();
  await client.send(RawClient.frame('40'));
  await client.take('"welcome"');
  return client;
}

/** A client whose session began on long-polling. */
async function upgraded(pod: Pod): Promise<RawClient> {
  const client = await raw(pod);
  const polling = await raw(pod);
  await client.open(await polling.handshake());
  await client.send(RawClient.frame('2probe'));
  await client.take('3probe');
  await client.send(Buffer.concat([RawClient.frame('5'), RawClient.frame('40')]));
  await client.take('"welcome"');
  return client;
}

const SESSIONS = [
  ['that began on it', direct],
  ['that began on long-polling', upgraded],
] as const;

const FLOODS: readonly (readonly [string, Buffer])[] = [
  ['pings of 125 bytes', times(1000, frame(Buffer.alloc(125, 120), PING))],
  ['pings of no byte', times(1000, frame(Buffer.alloc(0), PING))],
  ['pongs that nobody asked for', times(1000, frame(Buffer.alloc(4, 120), PONG))],
  [
    'pings in the middle of a message',
    Buffer.concat([unfinished(Buffer.from('42["a'), TEXT), times(1000, frame(Buffer.alloc(10, 120), PING))]),
  ],
  [
    'pings between the parts of a message',
    Buffer.concat([
      unfinished(Buffer.from('42["a'), TEXT),
      times(1000, Buffer.concat([unfinished(Buffer.from('x'), 0), frame(Buffer.alloc(3, 120), PING)])),
    ]),
  ],
];

describe.each(SESSIONS)('on a WebSocket of a session %s', (_name, connect) => {
  test.each(FLOODS)('a client that floods with %s is cut, alone', async (_flood, bytes) => {
    const pod = await shared();
    const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
    const client = await connect(pod);
    await client.send(bytes);
    await until('the flood to be cut', () => client.closed);
    expect(await pod.metric('gateway_floods_total')).toBe(1);
    expect(await pod.metric('gateway_floods_total', { kind: 'pings' })).toBe(1);
    const cut = async (): Promise<boolean> =>
      (await pod.metric('gateway_disconnects_total', { reason: 'flood' })) === 1;
    await until('the disconnect', cut, { seen: () => pod.output() });
    await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 1);
    await pod.post('/v1/signals', signal(1));
    await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
    expect(honest.disconnects).toEqual([]);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  });

  test('a client that pings and pongs as a keep-alive is answered and stays', async () => {
    const pod = await shared();
    const client = await connect(pod);
    // As a proxy that was held up might send them: two minutes' worth of one a second, at once.
    for (let i = 0; i < 60; i++) {
      await client.send(Buffer.concat([frame(Buffer.from(`ping ${i}`), PING), frame(Buffer.from(`pong ${i}`), PONG)]));
    }
    for (let i = 0; i < 3; i++) {
      await client.send(frame(Buffer.from('later'), PING));
      await client.take('later');
      await sleep(1000);
    }
    await client.send(RawClient.frame('420["subscribe",["A"]]'));
    await client.take('430[{"ok":true');
    expect(client.closed).toBe(false);
    expect(await pod.metric('gateway_floods_total')).toBe(0);
  });
});

test('a WebSocket that only probes for an upgrade is cut, and the session goes on over long-polling', async () => {
  const pod = await shared();
  const polling = await raw(pod);
  const sid = await polling.handshake();
  const probe = await raw(pod);
  await probe.open(sid);
  await probe.send(times(1000, frame(Buffer.alloc(125, 120), PING)));
  await until('the flood to be cut', () => probe.closed);
  expect(await pod.metric('gateway_floods_total', { kind: 'pings' })).toBe(1);
  await polling.post(sid, '40');
  await polling.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
  await polling.take('40{"sid":');
  await polling.post(sid, '1');
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('pings and messages that are not too many alone are too many together', async () => {
  const pod = await shared();
  const client = await direct(pod);
  await client.send(times(150, Buffer.concat([frame(Buffer.alloc(0), PING), RawClient.frame('42["a"]')])));
  await until('it to be cut', () => client.closed);
  expect(await pod.metric('gateway_floods_total')).toBe(1);
});

test('bytes of pings count as bytes of messages do', async () => {
  const pod = await shared({ MAX_BYTES_PER_SECOND: '256', MAX_PAYLOAD: '256' });
  const client = await direct(pod);
  await client.send(times(20, frame(Buffer.alloc(125, 120), PING)));
  await until('it to be cut', () => client.closed);
  expect(await pod.metric('gateway_floods_total', { kind: 'bytes' })).toBe(1);
});

test('without MAX_MESSAGES_PER_SECOND pings are not limited either', async () => {
  const pod = await shared({ MAX_MESSAGES_PER_SECOND: '0', MAX_BYTES_PER_SECOND: '0' });
  const client = await direct(pod);
  await client.send(Buffer.concat([times(1000, frame(Buffer.alloc(4, 120), PING)), frame(Buffer.from('end'), PING)]));
  await client.take('end');
  expect(client.closed).toBe(false);
});

test('300 clients that flood with pings at the same moment are all cut, and the pod serves on', async () => {
  const pod = await shared();
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  for (let round = 0; round < 3; round++) {
    const clients = await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? direct : upgraded)(pod)));
    const floods = FLOODS.map(([, bytes]) => bytes);
    await Promise.all(clients.map((client, i) => client.send(floods[i % floods.length] as Buffer)));
    await until('all to be cut', () => clients.every(({ closed }) => closed));
    expect(await pod.metric('gateway_floods_total', { kind: 'pings' })).toBe(100 * (round + 1));
  }
  await until('the sessions to be gone', async () => (await pod.metric('gateway_sessions')) === 1);
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('parts of a message without end, of no byte or of one, disturb nobody', async () => {
  const pod = await shared();
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const over = new AbortController();
  const attacks = FRAGMENTS.map((parts) => sendFragments(pod.port, '127.0.0.9', parts, over.signal));
  for (let i = 0; i < 10; i++) {
    await pod.post('/v1/signals', signal(i));
    await until('the signal', () => honest.signals.length === i + 1, { seen: () => honest });
  }
  over.abort();
  await Promise.all(attacks);
  expect(honest.disconnects).toEqual([]);
  await until('the others to be gone', async () => (await pod.metric('gateway_sessions')) === 1);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
