import { afterEach, expect, test } from 'vitest';
import { tokenOf } from '../../src/access/bearer.js';
import { AUDIENCE, ISSUER, SECRET, claims, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test('a token is taken in every form in which people send it, over either transport', async () => {
  const pod = await Pod.start(cleanup, {
    AUTH: 'jwt',
    JWT_SECRET: SECRET,
    JWT_ISSUER: ISSUER,
    JWT_AUDIENCE: AUDIENCE,
    LOG_LEVEL: 'trace',
  });
  const token = await secretToken(claims());
  const good = { authorization: `Bearer ${token}` };
  const forms = [
    { auth: { token: `Bearer ${token}` } },
    { auth: { token: `bearer  \t${token}\n` } },
    { auth: { token: ` ${token} ` } },
    { auth: { token: '' }, extraHeaders: good },
    { auth: { token: null }, extraHeaders: good },
    { auth: { token: '  ' }, extraHeaders: good },
    { auth: { token: 'Bearer ' }, extraHeaders: good },
    { extraHeaders: { authorization: `Bearer  ${token}` } },
    { extraHeaders: { authorization: `Bearer   \t ${token}` } },
    { extraHeaders: { authorization: `bearer\t${token}` } },
    { extraHeaders: { authorization: `BEARER ${token} ` } },
  ];
  for (const transport of ['websocket', 'polling']) {
    for (const form of forms) await FeedClient.connect(cleanup, pod.url, { transports: [transport], ...form });
  }
  for (const part of token.split('.')) expect(pod.output()).not.toContain(part);
});

function from(token: unknown, authorization?: string): unknown {
  return tokenOf({ auth: { token }, headers: { authorization } });
}

test('an Authorization header without a bearer token is ignored, and auth.token takes precedence over the header', () => {
  expect(from('a.b.c', 'Bearer x.y.z')).toBe('a.b.c');
  expect(from('Bearer a.b.c', 'Bearer x.y.z')).toBe('a.b.c');
  expect(from({ a: 1 }, 'Bearer x.y.z')).toEqual({ a: 1 });
  expect(from(0, 'Bearer x.y.z')).toBe(0);
  expect(from(undefined, 'Basic x.y.z')).toBeUndefined();
  expect(from(undefined, 'Bearerx.y.z')).toBeUndefined();
  expect(from(undefined, 'x.y.z')).toBeUndefined();
  expect(from(undefined, 'Bearer')).toBeUndefined();
  expect(from(undefined, '')).toBeUndefined();
  expect(from(null)).toBeUndefined();
});
