import type { ManagerOptions, SocketOptions } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { LARGEST_AUTH, sizeWarnings } from '../../src/access/sizes.js';
import { httpRequest } from '../support/http.js';
import { AUDIENCE, ISSUER, SECRET, claims, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const WITH_SECRET = { AUTH: 'jwt', JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };

/** 1,024 topics of a character, as long as they may be. */
function topicsOf(character: string, length = 64): string[] {
  const end = `@${character.repeat(16)}`;
  return Array.from({ length: 1024 }, (_, i) => `${String(i).padStart(4, '0')}${character.repeat(length - 4)}${end}`);
}

function paddedToken(padding: number): Promise<string> {
  return secretToken(claims({ padding: 'x'.repeat(padding) }));
}

/** A token of about 8,192 characters. */
async function longToken(): Promise<string> {
  const { length } = await paddedToken(0);
  const token = await paddedToken(Math.floor(((8192 - length) * 3) / 4) - 20);
  expect(token.length).toBeGreaterThan(8100);
  return token;
}

interface Refused {
  readonly codes: unknown[];
  readonly client: FeedClient;
}

/** Connects a stock client that would connect again if it could, until it is refused. */
async function refused(pod: Pod, options: Partial<ManagerOptions & SocketOptions>): Promise<Refused> {
  const client = new FeedClient(cleanup, pod.url, options);
  const codes: unknown[] = [];
  client.socket.on('connect_error', (error) => codes.push((error as { data?: { code: string } }).data?.code));
  await until('a refusal', () => codes.length > 0, { seen: () => client });
  return { codes, client };
}

describe.each(['websocket', 'polling'])('over %s', (transport) => {
  test('all topics that one may have fit by default, with the longest token, in auth and in subscribe', async () => {
    const pod = await Pod.start(cleanup, WITH_SECRET);
    const token = await longToken();
    for (const character of ['B', '"', '\u00e4', '漢', '😀']) {
      const topics = topicsOf(character);
      const client = await FeedClient.connect(cleanup, pod.url, { transports: [transport], auth: { token, topics } });
      const symbol = topics[7]?.split('@')[0] ?? '';
      await pod.post('/v1/signals', signal(1, { symbol, timeframe: character.repeat(16) }));
      await until('its signal', () => client.signals.length === 1, { seen: () => client });
      const others = topicsOf(character, 63);
      const answer = (await client.socket.timeout(10_000).emitWithAck('subscribe', others)) as SubscribeAnswer;
      expect(answer).toEqual({ ok: true, topics: others });
      expect(client.disconnects).toEqual([]);
      client.socket.disconnect();
    }
    expect(await pod.metric('gateway_floods_total')).toBe(0);
  });

  test('an auth that is too large is refused once, with a code, and the client does not try again', async () => {
    const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '16384' });
    const { codes, client } = await refused(pod, { transports: [transport], auth: { topics: topicsOf('B') } });
    // Had it tried again, it would have been before others were done.
    for (let i = 0; i < 10; i++) await FeedClient.connect(cleanup, pod.url, { transports: [transport] });
    expect(codes).toEqual(['payload_too_large']);
    expect(client.socket.active).toBe(false);
    expect(await pod.metric('gateway_refusals_total', { reason: 'payload_too_large' })).toBe(1);
    expect(await pod.metric('gateway_refusals_total')).toBe(1);
    const [line] = await until('the line', () => {
      const lines = pod.logs().filter(({ reason }) => reason === 'payload_too_large');
      return lines.length > 0 && lines;
    });
    expect(line).toMatchObject({ msg: 'refused a client', maxPayload: 16_384 });
  });

  test('a subscribe that is too large is answered with a code, and nothing else changes', async () => {
    const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '16384' });
    const client = await FeedClient.connect(cleanup, pod.url, { transports: [transport], auth: { topics: ['A'] } });
    const answer = (await client.socket.timeout(10_000).emitWithAck('subscribe', topicsOf('B'))) as SubscribeAnswer;
    expect(answer).toMatchObject({ ok: false, error: { code: 'payload_too_large' } });
    client.socket.emit('subscribe', topicsOf('B'));
    await until(
      'both to be counted',
      async () => (await pod.metric('gateway_subscribes_total', { result: 'payload_too_large' })) === 2,
    );
    await pod.post('/v1/signals', [signal(1, { symbol: 'A' }), signal(2, { symbol: 'Z' })]);
    await until('its signal', () => client.signals.length > 0, { seen: () => client });
    expect(client.signals).toHaveLength(1);
    expect(client.disconnects).toEqual([]);
    const again = (await client.socket.timeout(10_000).emitWithAck('subscribe', ['Z'])) as SubscribeAnswer;
    expect(again).toEqual({ ok: true, topics: ['Z'] });
  });

  test('whoever goes on sending what is too large is cut, and counted as a flood', async () => {
    const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000' });
    const client = await FeedClient.connect(cleanup, pod.url, { transports: [transport], reconnection: false });
    for (let i = 0; i < 5 && client.socket.connected; i++) {
      client.socket.emit('subscribe', topicsOf('B'));
      await until(
        'it to be counted',
        async () =>
          (await pod.metric('gateway_subscribes_total')) > i || (await pod.metric('gateway_floods_total')) > 0,
      );
    }
    await until('it to be cut', () => client.disconnects.length > 0, { seen: () => client });
    expect(await pod.metric('gateway_floods_total', { kind: 'payload' })).toBe(1);
    expect(await pod.metric('gateway_disconnects_total', { reason: 'payload too large' })).toBe(1);
  });
});

test('an oversized message that expects no answer closes the connection with a code that the client sees', async () => {
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000' });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], reconnection: false });
  const ends: unknown[] = [];
  client.socket.on('disconnect', (_reason, details) => ends.push(details));
  client.socket.emit('something', 'x'.repeat(2000));
  const [end] = await until('its end', () => ends.length > 0 && ends, { seen: () => client });
  expect(end).toMatchObject({ context: { code: 1009, reason: 'payload_too_large' } });
  expect(await pod.metric('gateway_floods_total', { kind: 'payload' })).toBe(1);
  expect(await pod.metric('gateway_disconnects_total', { reason: 'payload too large' })).toBe(1);
});

test('a client that came to its WebSocket from long-polling is refused in the same way', async () => {
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000' });
  const client = await FeedClient.connect(cleanup, pod.url, { reconnection: false });
  await until('the upgrade', () => client.socket.io.engine.transport.name === 'websocket', { seen: () => client });
  const answer = (await client.socket.timeout(10_000).emitWithAck('subscribe', topicsOf('B'))) as SubscribeAnswer;
  expect(answer).toMatchObject({ ok: false, error: { code: 'payload_too_large' } });
  client.socket.emit('something', 'x'.repeat(2000));
  await until('its end', () => client.disconnects.length > 0, { seen: () => client });
  expect(await pod.metric('gateway_disconnects_total', { reason: 'payload too large' })).toBe(1);
});

test('a message that is too large even to be refused is counted and logged by its reason', async () => {
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000' });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'], reconnection: false });
  client.socket.emit('subscribe', ['x'.repeat(1024 * 1024)]);
  await until('its end', () => client.disconnects.length > 0, { seen: () => client });
  expect(await pod.metric('gateway_floods_total', { kind: 'payload' })).toBe(1);
  await until(
    'the reason',
    async () => (await pod.metric('gateway_disconnects_total', { reason: 'payload too large' })) === 1,
  );
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('a POST that is too large and is neither of these is answered 413 with a code, and its session ends', async () => {
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '1000', CORS_ORIGIN: 'https://app.example.com' });
  const raw = await RawClient.connect(pod.port);
  cleanup.add(raw, () => raw.socket.destroy());
  const sid = await raw.handshake();
  const url = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  const answer = await httpRequest(url, {
    method: 'POST',
    headers: { origin: 'https://app.example.com', 'content-length': '200000' },
    body: `42["x","${'x'.repeat(200_000 - 10)}"]`,
  });
  expect(answer.status).toBe(413);
  expect(answer.headers['access-control-allow-origin']).toBe('https://app.example.com');
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'body_too_large' });
  expect((await httpRequest(url)).status).toBe(400);
  expect(await pod.metric('gateway_floods_total', { kind: 'payload' })).toBe(1);
});

test('limits that contradict each other are told at start, and the defaults do not', async () => {
  expect(sizeWarnings({ maxPayload: 1_048_576, maxBytesPerSecond: 262_144 })).toEqual([]);
  expect(sizeWarnings({ maxPayload: LARGEST_AUTH, maxBytesPerSecond: 0 })).toEqual([]);
  expect(sizeWarnings({ maxPayload: LARGEST_AUTH - 1, maxBytesPerSecond: 0 })).toHaveLength(1);
  const pod = await Pod.start(cleanup, { MAX_PAYLOAD: '16384', MAX_BYTES_PER_SECOND: '100' });
  const lines = pod.logs().filter(({ level }) => level === 40);
  expect(lines.map(({ msg }) => String(msg).split(':')[0])).toEqual([
    'MAX_PAYLOAD is 16384',
    'MAX_BYTES_PER_SECOND is 100 and MAX_PAYLOAD 16384',
  ]);
});
