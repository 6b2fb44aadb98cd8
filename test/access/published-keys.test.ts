import { afterEach, expect, test } from 'vitest';
import { TokenVerifier } from '../../src/access/token-verifier.js';
import type { KeySetOptions } from '../../src/access/key-set.js';
import { Rate } from '../../src/access/rate-limit.js';
import { AUDIENCE, ISSUER, Issuer, claims, rawToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** What becomes of a token: "taken", or the code that refuses it. */
function verifierOf(issuer: Issuer, keys: KeySetOptions = {}): (token: string) => Promise<string> {
  const verifier = new TokenVerifier(
    { key: { jwksUrl: new URL(issuer.url) }, issuer: ISSUER, audience: AUDIENCE },
    { retryMs: 0, refreshRetryMs: 0, ...keys },
  );
  return async (token) => {
    const verdict = await verifier.verify(token);
    return verdict.ok ? 'taken' : verdict.code;
  };
}

test('of several keys that fit a token without a key id every one is tried', async () => {
  const issuer = await Issuer.open(cleanup);
  for (const name of ['a', 'b', 'c']) await issuer.addKey(name);
  await issuer.addKey('rsa', 'RS256');
  const verify = verifierOf(issuer);
  for (const name of ['a', 'b', 'c', 'rsa']) expect(await verify(await issuer.token(name, claims(), {}))).toBe('taken');
  expect(await verify(await issuer.token('c', claims({ exp: 1 }), {}))).toBe('token_expired');
  const stranger = await Issuer.open(cleanup);
  await stranger.addKey('x');
  expect(await verify(await stranger.token('x', claims(), {}))).toBe('token_bad_signature');
});

test('keys of every kind may stand in one set: the one that was meant is found', async () => {
  const issuer = await Issuer.open(cleanup);
  issuer.published.set('bad members', null);
  issuer.published.set('no object', 5);
  issuer.published.set('no key', {});
  issuer.published.set('no curve', { kty: 'EC', crv: 'secp256k1', kid: 'odd', x: 'AA', y: 'AA' });
  issuer.published.set('post-quantum', { kty: 'AKP', alg: 'ML-DSA-44', kid: 'pq', pub: 'AAAA' });
  issuer.published.set('secret', { kty: 'oct', k: 'AAAA', kid: 'one' });
  issuer.published.set('broken', { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' });
  await issuer.addKey('to encrypt', 'ES256', { kid: 'one', use: 'enc', alg: 'ECDH-ES' });
  await issuer.addKey('one', 'ES256', { alg: undefined, use: undefined });
  await issuer.addKey('same id', 'RS256', { kid: 'one', alg: undefined, key_ops: ['verify'], use: undefined });
  await issuer.addKey('without id', 'PS256', { kid: undefined, alg: undefined, x5c: 'not a list', ext: 'yes' });
  await issuer.addKey('edwards', 'EdDSA', { alg: 'Ed25519' });
  await issuer.addKey('to sign', 'ES384', { key_ops: ['sign'] });
  const verify = verifierOf(issuer);
  expect(await verify(await issuer.token('one'))).toBe('taken');
  expect(await verify(await issuer.token('one', claims(), {}))).toBe('taken');
  expect(await verify(await issuer.token('same id', claims(), { kid: 'one' }))).toBe('taken');
  expect(await verify(await issuer.token('edwards'))).toBe('taken');
  // Nobody has the id that it names, and one of the keys without an id is right.
  expect(await verify(await issuer.token('without id', claims(), { kid: 'of another service' }))).toBe('taken');
  expect(await verify(await issuer.token('to sign'))).toBe('token_unknown_key');
  expect(await verify(rawToken({ alg: 'HS256', kid: 'one' }, claims(), 'AAAA'))).toBe('token_wrong_algorithm');
});

test('a key that cannot be used is not held against the token: the issuer may mend it', async () => {
  const issuer = await Issuer.open(cleanup);
  const good = await issuer.addKey('key');
  issuer.published.set('key', { ...good, x: 'AA' });
  const verify = verifierOf(issuer, { maxAgeMs: 0 });
  const token = await issuer.token('key');
  expect(await verify(token)).toBe('keys_unavailable');
  // A set with a private key in it would let everybody sign.
  issuer.published.set('key', { ...good, d: good.x });
  expect(await verify(token)).toBe('token_unknown_key');
  issuer.published.set('key', good);
  expect(await verify(token)).toBe('taken');
});

test('a token of a key that was published a moment ago is taken, however short ago the issuer was asked', async () => {
  const issuer = await Issuer.open(cleanup);
  await issuer.addKey('old');
  const verify = verifierOf(issuer);
  const before = await issuer.token('old');
  expect(await verify(before)).toBe('taken');
  for (const name of ['new', 'newer', 'newest']) {
    expect(await verify(rawToken({ alg: 'ES256', kid: name }, claims(), 'A'.repeat(86)))).toBe('token_unknown_key');
    await issuer.addKey(name);
    expect(await verify(await issuer.token(name))).toBe('taken');
    expect(await verify(before)).toBe('taken');
  }
  // An issuer that uses an id again, or has no ids: only the signature shows it.
  await issuer.addKey('old');
  expect(await verify(await issuer.token('old'))).toBe('taken');
  expect(await verify(before)).toBe('token_bad_signature');
});

test('strangers with made-up keys do not have the issuer asked more often than it is agreed, and honest tokens do not wait', async () => {
  const issuer = await Issuer.open(cleanup);
  await issuer.addKey('good');
  const verify = verifierOf(issuer, { lookups: new Rate(2, 3) });
  const token = await issuer.token('good');
  expect(await verify(token)).toBe('taken');
  const verdicts = new Set<string>();
  let made = 0;
  const began = performance.now();
  const flood = Array.from({ length: 50 }, async () => {
    while (performance.now() - began < 3000) {
      verdicts.add(await verify(rawToken({ alg: 'ES256', kid: `made up ${made++}` }, claims(), 'A'.repeat(86))));
    }
  });
  await until('the flood to wait', () => issuer.requests > 3);
  expect(await verify(token)).toBe('taken');
  await issuer.addKey('new');
  expect(await verify(await issuer.token('new'))).toBe('taken');
  await Promise.all(flood);
  expect([...verdicts]).toEqual(['token_unknown_key']);
  // The first, three at once, and two in each of the seconds that it took.
  expect(issuer.requests).toBeLessThanOrEqual(5 + 2 * Math.ceil((performance.now() - began) / 1000));
});

test('while an issuer answers nonsense the keys that are known stay in use, and no token is called unknown', async () => {
  const issuer = await Issuer.open(cleanup);
  await issuer.addKey('known');
  const faults: unknown[] = [];
  const verify = verifierOf(issuer, { maxAgeMs: 0, timeoutMs: 200, onChange: (fault) => faults.push(fault) });
  const token = await issuer.token('known');
  expect(await verify(token)).toBe('taken');
  const key = await issuer.addKey('new');
  issuer.published.delete('new');
  const unknown = await issuer.token('new');
  const nonsense: readonly (readonly [string, NonNullable<Issuer['instead']>])[] = [
    ['the issuer answered 500 instead of its keys', (response) => response.writeHead(500).end('{"keys":[]}')],
    ['the issuer answered 302 instead of its keys', (response) => response.writeHead(302, { location: '/' }).end()],
    ['the issuer answered something that is not JSON', (response) => response.end('<html>')],
    ['the issuer answered JSON that is not a JSON Web Key Set', (response) => response.end('{"keys":{}}')],
    ['the issuer answered JSON that is not a JSON Web Key Set', (response) => response.end('null')],
    ['the issuer answered more than 1048576 bytes', (response) => response.end(`"${'x'.repeat(1024 * 1024)}"`)],
    ['the issuer did not answer within 200 ms', (response) => response.write('{"keys":[')],
    ['the issuer cannot be reached (UND_ERR_SOCKET)', (response) => response.destroy()],
  ];
  for (const [fault, answer] of nonsense) {
    issuer.instead = answer;
    expect([fault, await verify(token)]).toEqual([fault, 'taken']);
    expect([fault, await verify(unknown)]).toEqual([fault, 'keys_unavailable']);
    issuer.instead = undefined;
    expect(await verify(token)).toBe('taken');
    expect(faults.splice(0)).toEqual([fault, undefined]);
  }
  issuer.published.set('new', key);
  expect(await verify(unknown)).toBe('taken');
});

test('a withdrawn key is not taken any more when the set is old, nor for ever while the issuer is away', async () => {
  const issuer = await Issuer.open(cleanup);
  await issuer.addKey('withdrawn');
  await issuer.addKey('other');
  const verify = verifierOf(issuer, { maxAgeMs: 50 });
  const brief = verifierOf(issuer, { maxAgeMs: 0, maxStaleMs: 300 });
  const token = await issuer.token('withdrawn');
  expect([await verify(token), await brief(token)]).toEqual(['taken', 'taken']);
  issuer.published.delete('withdrawn');
  await until('the old set to be asked for again', async () => (await verify(token)) === 'token_unknown_key');
  issuer.instead = (response) => response.destroy();
  await until('the keys to be too old', async () => (await brief(token)) === 'keys_unavailable');
});

test('a client whose key is new connects by itself, and an issuer that is slow keeps nobody out whose key is known', async () => {
  const issuer = await Issuer.open(cleanup);
  await issuer.addKey('old');
  const pod = await Pod.start(cleanup, {
    AUTH: 'jwt',
    JWKS_URL: issuer.url,
    JWT_ISSUER: ISSUER,
    JWT_AUDIENCE: AUDIENCE,
  });
  await FeedClient.connect(cleanup, pod.url, { auth: { token: await issuer.token('old') } });
  const key = await issuer.addKey('new');
  const token = await issuer.token('new');
  issuer.published.delete('new');
  const codes: unknown[] = [];
  issuer.instead = (response) => response.writeHead(503).end();
  const client = new FeedClient(cleanup, pod.url, { auth: { token }, transports: ['websocket'] });
  client.socket.on('connect_error', (error) => codes.push((error as { data?: unknown }).data));
  await until(
    'it to be sent away',
    async () => (await pod.metric('gateway_refusals_total', { reason: 'keys_unavailable' })) > 0,
  );
  await FeedClient.connect(cleanup, pod.url, { auth: { token: await issuer.token('old') } });
  issuer.published.set('new', key);
  issuer.instead = undefined;
  await until('it to be let in', () => client.welcomes.length === 1, { limit: 30_000, seen: () => client });
  expect(codes.filter((data) => data !== undefined)).toEqual([]);
  expect(await pod.metric('gateway_refusals_total', { reason: 'token_unknown_key' })).toBe(0);
});
