import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { importJWK, exportSPKI } from 'jose';
import type { ManagerOptions, SocketOptions } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';
import type { SubscribeAnswer } from '../../src/contract/events.js';
import { FrontDoor } from '../support/front-door.js';
import { AUDIENCE, ISSUER, Issuer, SECRET, claims, rawToken, secretToken, seconds } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const WITH_SECRET = { AUTH: 'jwt', JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };

async function withKeys(): Promise<{ issuer: Issuer; env: Record<string, string> }> {
  const issuer = await Issuer.open(cleanup);
  await issuer.addKey('first');
  return { issuer, env: { AUTH: 'jwt', JWKS_URL: issuer.url, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE } };
}

/** The code with which a client is refused. */
async function refusal(pod: Pod, options: Partial<ManagerOptions & SocketOptions>): Promise<string> {
  const client = new FeedClient(cleanup, pod.url, { transports: ['websocket'], ...options });
  const errors: (Error & { data?: { code: string } })[] = [];
  client.socket.on('connect_error', (error) => errors.push(error));
  const [first] = await until(
    'a refusal or a welcome',
    () => (errors.length > 0 || client.welcomes.length > 0) && errors,
    {
      seen: () => client,
    },
  );
  expect(client.welcomes).toEqual([]);
  expect(client.signals).toEqual([]);
  expect(first?.message).not.toBe('');
  client.socket.disconnect();
  return first?.data?.code ?? `no code: ${first?.message}`;
}

function tamper(token: string): string {
  const [header = '', , signature = ''] = token.split('.');
  const payload = Buffer.from(JSON.stringify(claims({ sub: 'admin' }))).toString('base64url');
  return `${header}.${payload}.${signature}`;
}

/** The text of good claims with more of them in front. */
function claimsText(more: string): string {
  return JSON.stringify(claims()).replace('{', `{${more},`);
}

/** A token with claims that are written by hand, and a good signature. */
function textToken(payload: string | Buffer): string {
  const signed = [JSON.stringify({ alg: 'HS256' }), payload].map((one) =>
    Buffer.from(one as string).toString('base64url'),
  );
  const text = signed.join('.');
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

/** Tokens that a pod with a secret must refuse. */
const BAD: readonly (readonly [string, () => unknown, string])[] = [
  ['none', () => undefined, 'token_missing'],
  ['an empty one', () => '', 'token_missing'],
  ['no text', () => ({ a: 1 }), 'token_malformed'],
  ['no token', () => 'hello', 'token_malformed'],
  ['two parts', () => 'e30.e30', 'token_malformed'],
  ['parts that are no JSON', () => 'abc.abc.abc', 'token_malformed'],
  [
    'an unknown critical header',
    () => rawToken({ alg: 'HS256', crit: ['x'], x: 1 }, claims(), 'AAAA'),
    'token_malformed',
  ],
  ['8,193 characters', () => 'e'.repeat(8193), 'token_too_large'],
  ['alg none', () => rawToken({ alg: 'none' }, claims(), ''), 'token_wrong_algorithm'],
  ['alg None with a signature', () => rawToken({ alg: 'None' }, claims(), 'AAAA'), 'token_wrong_algorithm'],
  ['HS512', () => secretToken(claims(), SECRET.repeat(2), 'HS512'), 'token_wrong_algorithm'],
  ['RS256', () => rawToken({ alg: 'RS256' }, claims(), 'AAAA'), 'token_wrong_algorithm'],
  ['another secret', () => secretToken(claims(), SECRET.toUpperCase()), 'token_bad_signature'],
  ['changed claims', async () => tamper(await secretToken()), 'token_bad_signature'],
  [
    'a key of its own',
    () => rawToken({ alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } }, claims(), 'AAAA'),
    'token_bad_signature',
  ],
  ['expired', () => secretToken(claims({ exp: seconds() - 60 })), 'token_expired'],
  ['not yet valid', () => secretToken(claims({ nbf: seconds() + 60 })), 'token_not_yet_valid'],
  ['another audience', () => secretToken(claims({ aud: 'another feed' })), 'token_wrong_audience'],
  ['no audience', () => secretToken(claims({ aud: undefined })), 'token_wrong_audience'],
  ['another issuer', () => secretToken(claims({ iss: 'https://id.example.org' })), 'token_wrong_issuer'],
  ['no end', () => secretToken(claims({ exp: undefined })), 'token_bad_claims'],
  ['an end that is no number', () => secretToken(claims({ exp: 'soon' })), 'token_bad_claims'],
  ['a user that is no text', () => secretToken(claims({ sub: 5 })), 'token_bad_claims'],
  ['topics that are none', () => secretToken(claims({ topics: ['A', 7] })), 'token_bad_claims'],
  ['a topic with an unpaired surrogate', () => secretToken(claims({ topics: ['A\ud83d'] })), 'token_bad_claims'],
  ['a user with an unpaired surrogate', () => secretToken(claims({ sub: 'ann\udcc8' })), 'token_bad_claims'],
  ['a user twice', () => textToken(claimsText('"sub":"ann"')), 'token_bad_claims'],
  ['topics twice', () => textToken(claimsText('"topics":["*"],"topics":["A"]')), 'token_bad_claims'],
  ['an end twice, once in escapes', () => textToken(claimsText(String.raw`"e\u0078p":1`)), 'token_bad_claims'],
  ['an audience twice', () => textToken(claimsText('"aud":"another feed"')), 'token_bad_claims'],
  ['a user that is not UTF-8', () => textToken(Buffer.from(claimsText('"sub2":"\xff"'), 'latin1')), 'token_malformed'],
];

test('a token of every bad kind is refused with its code and counted under it; good ones are let in meanwhile', async () => {
  const pod = await Pod.start(cleanup, { ...WITH_SECRET, LOG_LEVEL: 'trace' });
  const token = await secretToken();
  const honest = await FeedClient.connect(cleanup, pod.url, {
    auth: { token },
    transports: ['websocket'],
    extraHeaders: { cookie: 'session=of-the-page' },
  });
  const counts = new Map<string, number>();
  for (const [name, make, code] of BAD) {
    const bad = await make();
    expect([name, await refusal(pod, { auth: { token: bad } })]).toEqual([name, code]);
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  for (const [reason, count] of counts) {
    expect([reason, await pod.metric('gateway_refusals_total', { reason })]).toEqual([reason, count]);
  }
  expect(await pod.metric('gateway_connects_total')).toBe(1);
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => honest.signals.length === 1);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  const inHeader = await secretToken(claims({ sub: 'in-a-header' }));
  await FeedClient.connect(cleanup, pod.url, {
    transports: ['websocket'],
    extraHeaders: { authorization: `Bearer ${inHeader}` },
  });
  const badHeader = { extraHeaders: { authorization: 'Bearer not-a-good-token' } };
  expect(await refusal(pod, badHeader)).toBe('token_malformed');
  // Neither good nor bad tokens, nor the secret, are in the log, at the level that tells most.
  for (const part of [...token.split('.'), ...inHeader.split('.')]) expect(pod.output()).not.toContain(part);
  expect(pod.output()).not.toContain('not-a-good-token');
  expect(pod.output()).not.toContain(SECRET);
  expect(pod.output()).not.toContain('of-the-page');
});

test('a token may come in the Authorization header, over either transport, and auth.token goes before it', async () => {
  const pod = await Pod.start(cleanup, WITH_SECRET);
  const token = await secretToken();
  for (const transport of ['websocket', 'polling']) {
    const options = { transports: [transport], extraHeaders: { authorization: `Bearer ${token}` } };
    await FeedClient.connect(cleanup, pod.url, options);
    expect(await refusal(pod, { ...options, auth: { token: 'x.y.z' } })).toBe('token_malformed');
  }
  expect(await refusal(pod, { extraHeaders: { authorization: `Basic ${token}` } })).toBe('token_missing');
});

describe('with the public keys of an issuer', () => {
  test('tokens of its keys are taken, and no others', async () => {
    const { issuer, env } = await withKeys();
    const pod = await Pod.start(cleanup, env);
    await issuer.addKey('rsa', 'RS256');
    await FeedClient.connect(cleanup, pod.url, { auth: { token: await issuer.token('first') } });
    await FeedClient.connect(cleanup, pod.url, { auth: { token: await issuer.token('rsa') } });

    const stranger = await Issuer.open(cleanup);
    const strange = await stranger.addKey('stranger');
    expect(await refusal(pod, { auth: { token: await stranger.token('stranger') } })).toBe('token_unknown_key');
    await stranger.addKey('first');
    expect(await refusal(pod, { auth: { token: await stranger.token('first') } })).toBe('token_bad_signature');
    // The oldest trick: the public key, which everybody has, as the secret of an HS256 signature.
    const spki = await exportSPKI((await importJWK(await issuer.addKey('third'), 'ES256')) as never);
    const header = { alg: 'HS256', kid: 'first' };
    const unsigned = rawToken(header, claims(), '').slice(0, -1);
    const signature = createHmac('sha256', spki).update(unsigned).digest('base64url');
    expect(await refusal(pod, { auth: { token: `${unsigned}.${signature}` } })).toBe('token_wrong_algorithm');
    expect(await refusal(pod, { auth: { token: rawToken({ alg: 'none' }, claims(), '') } })).toBe(
      'token_wrong_algorithm',
    );
    // Addresses and keys that a token names are not asked.
    const before = stranger.requests;
    for (const named of [{ jku: stranger.url }, { x5u: stranger.url }, { jwk: strange }]) {
      const code = await refusal(pod, {
        auth: { token: rawToken({ alg: 'ES256', kid: 'stranger', ...named }, claims(), 'A'.repeat(86)) },
      });
      expect(code).toBe('token_unknown_key');
    }
    expect(stranger.requests).toBe(before);
    for (const [reason, count] of [
      ['token_unknown_key', 4],
      ['token_bad_signature', 1],
      ['token_wrong_algorithm', 2],
    ] as const) {
      expect([reason, await pod.metric('gateway_refusals_total', { reason })]).toEqual([reason, count]);
    }
    // Once for the first token, and once for each that no key was right for: it may have been published a moment ago.
    expect(issuer.requests).toBeLessThanOrEqual(6);
  });

  test('while the keys are unavailable, a client is disconnected and reconnects by itself', async () => {
    const { issuer, env } = await withKeys();
    const { url } = issuer;
    const token = await issuer.token('first');
    issuer.close();
    const pod = await Pod.start(cleanup, env);
    const client = new FeedClient(cleanup, pod.url, { auth: { token }, transports: ['websocket'] });
    const codes: unknown[] = [];
    client.socket.on('connect_error', (error) => codes.push((error as { data?: unknown }).data));
    await until(
      'several attempts',
      async () => (await pod.metric('gateway_refusals_total', { reason: 'keys_unavailable' })) > 2,
      { seen: () => client },
    );
    expect(client.welcomes).toEqual([]);
    expect(codes.filter((data) => data !== undefined)).toEqual([]);
    expect(pod.logs().filter(({ msg }) => String(msg).startsWith('the keys of the token issuer'))).toHaveLength(1);
    expect(pod.output()).not.toContain(url);
  });
});

test('when its token expires, a client is disconnected, reconnects with a fresh token, and misses nothing', async () => {
  const pod = await Pod.start(cleanup, WITH_SECRET);
  const asked: string[] = [];
  const client = new FeedClient(cleanup, pod.url, {
    transports: ['websocket'],
    auth: (send) => {
      // Five seconds of tolerance for clocks that differ are added to this by the gateway.
      void secretToken(claims({ exp: seconds() + (asked.length === 0 ? -3 : 600) })).then((token) => {
        asked.push(token);
        send({ token });
      });
    },
  });
  await client.welcomed();
  const idle = await FeedClient.connect(cleanup, pod.url, {
    transports: ['polling'],
    auth: { token: await secretToken(claims({ exp: seconds() - 3 })) },
  });
  const errors: unknown[] = [];
  idle.socket.on('connect_error', (error) => errors.push((error as { data?: { code: string } }).data?.code));
  await pod.post('/v1/signals', signal(1));
  await until('the client to be let go', () => client.disconnects.length > 0, { seen: () => client });
  await pod.post('/v1/signals', signal(2));
  await client.welcomed(2);
  await until('both signals', () => client.signals.length === 2, { seen: () => client });
  expect(client.socket.recovered).toBe(true);
  expect(client.disconnects).toEqual(['transport close']);
  expect(asked).toHaveLength(2);
  // One that has no fresh token is told why it may not come back.
  await until('the other one to be refused', () => errors.length > 0 && !idle.socket.connected, { limit: 20_000 });
  expect(errors.at(-1)).toBe('token_expired');
  await sleep(1500);
  expect(client.disconnects).toHaveLength(1);
  expect(await pod.metric('gateway_disconnects_total', { reason: 'token expired' })).toBe(2);
});

test('the claim "topics" is what a client gets and all that it may have, and a recovered client shows its token again', async () => {
  const pod = await Pod.start(cleanup, WITH_SECRET);
  const door = await FrontDoor.open(cleanup, [pod]);
  const tokens = {
    now: await secretToken(claims({ topics: ['A', 'B@1m'] })),
    narrower: await secretToken(claims({ topics: ['B'] })),
    forged: tamper(await secretToken(claims())),
  };
  const auth: Record<string, unknown> = { token: tokens.now };
  const client = await FeedClient.connect(cleanup, door.url, { transports: ['websocket'], auth });
  const subscribe = (topics: string[]): Promise<SubscribeAnswer> =>
    client.socket.timeout(5000).emitWithAck('subscribe', topics) as Promise<SubscribeAnswer>;
  const post = async (...symbols: string[]): Promise<void> => {
    const body = symbols.map((symbol, i) => signal(i, { symbol }));
    expect((await pod.post('/v1/signals', body)).status).toBe(202);
  };
  const symbols = (): unknown[] => client.signals.map(([payload]) => (payload as { symbol: string }).symbol);
  await post('A', 'B', 'C');
  await until('its signals', () => client.signals.length === 2);
  for (const topics of [['*'], ['C'], ['A', 'B'], ['B@5m']]) {
    expect(await subscribe(topics)).toMatchObject({ ok: false, error: { code: 'topics_not_allowed' } });
  }
  expect(await subscribe(['A@1m', 'B@1m'])).toEqual({ ok: true, topics: ['A@1m', 'B@1m'] });
  expect(await refusal(pod, { auth: { token: tokens.now, topics: ['*'] } })).toBe('topics_not_allowed');

  auth['token'] = tokens.narrower;
  door.cut();
  await client.welcomed(2);
  expect(client.socket.recovered).toBe(true);
  await post('A', 'B');
  await until('what both allow', () => client.signals.length === 3, { seen: () => client });
  expect(symbols()).toEqual(['A', 'B', 'B']);

  auth['token'] = tokens.forged;
  const errors: unknown[] = [];
  client.socket.on('connect_error', (error) => errors.push((error as { data?: { code: string } }).data?.code));
  door.cut();
  await until('the forged token to be refused', () => errors.length > 0, { seen: () => client });
  expect(errors).toEqual(['token_bad_signature']);
  expect(client.welcomes).toHaveLength(2);
});
