import { afterEach, describe, expect, test } from 'vitest';
import type { PodInfo } from '../../src/admin/answers.js';
import { SECRET, claims, secretToken } from '../support/issuer.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const JWT = { AUTH: 'jwt', JWT_SECRET: SECRET };

async function info(pod: Pod): Promise<PodInfo[]> {
  const answer = await fetch(`${pod.adminUrl}/v1/info`);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { pods: PodInfo[] }).pods;
}

async function start(withRedis: boolean, env: Record<string, string>): Promise<[Pod, Pod]> {
  const redis = withRedis ? await RedisServer.start(cleanup) : undefined;
  const all = { ...env, ...(redis && { REDIS_URL: redis.url }) };
  const first = await Pod.start(cleanup, all);
  return [first, withRedis ? await Pod.start(cleanup, all) : first];
}

async function connect(pod: Pod, user: string, transport = 'websocket'): Promise<FeedClient> {
  const token = await secretToken(claims({ sub: user }));
  return FeedClient.connect(cleanup, pod.url, { transports: [transport], auth: { token } });
}

async function order(pod: Pod, body: unknown): Promise<unknown> {
  const answer = await pod.post('/v1/disconnect', body);
  return [answer.status, await answer.json()];
}

describe.each([
  ['without Redis', false],
  ['with Redis, on every pod', true],
])('POST /v1/disconnect, %s,', (_name, withRedis) => {
  test('ends the connections of a user, or of one client, and they only reconnect if they are told to', async () => {
    const [first, second] = await start(withRedis, JWT);
    const bad = [await connect(first, 'bad'), await connect(second, 'bad'), await connect(second, 'bad', 'polling')];
    const good = [await connect(first, 'good'), await connect(second, 'good')];
    expect(await order(first, { user: 'nobody' })).toEqual([200, { disconnected: 0 }]);
    expect(await order(first, { user: 'bad', reconnect: true })).toEqual([200, { disconnected: 3 }]);
    await Promise.all(bad.map((client) => client.welcomed(2)));
    expect(bad.map(({ socket }) => socket.recovered)).toEqual([true, true, true]);
    expect(await order(first, { user: 'bad' })).toEqual([200, { disconnected: 3 }]);
    await until('them to be gone', () => bad.every(({ disconnects }) => disconnects.length === 2), { seen: () => bad });
    expect(bad.map(({ disconnects }) => disconnects[1])).toEqual(bad.map(() => 'io server disconnect'));
    const [, leaving] = good;
    expect(await order(first, { sid: leaving?.socket.id })).toEqual([200, { disconnected: 1 }]);
    await until('it to be gone', () => leaving?.disconnects.length === 1);
    await first.post('/v1/signals', signal(1));
    await until('the signal', () => good[0]?.signals.length === 1);
    expect(bad.map(({ socket }) => socket.connected)).toEqual([false, false, false]);
    expect(good[0]?.disconnects).toEqual([]);
    expect(bad.flatMap(({ signals }) => signals)).toEqual([]);
  });

  test('and GET /v1/info describes each pod', async () => {
    const [first, second] = await start(withRedis, {});
    await FeedClient.connect(cleanup, first.url, { transports: ['websocket'], auth: { topics: ['A', 'B@1m'] } });
    await FeedClient.connect(cleanup, second.url, { transports: ['polling'] });
    const response = await first.post('/v1/signals', signal(1));
    const { offsets } = (await response.json()) as { offsets: string[] };
    const names = [...new Set([second.name, first.name])];
    const pods = await until('each pod to have read the signal, and one to bridge', async () => {
      const found = await info(second);
      const isBridged = !withRedis || found.some(({ bridge }) => bridge);
      return found.length === names.length && found.every(({ head }) => head === offsets[0]) && isBridged && found;
    });
    expect(pods.map(({ pod }) => pod)).toEqual(names);
    expect(pods.reduce((sum, { topics }) => sum + topics, 0)).toBe(3);
    expect(pods.reduce((sum, { connections }) => sum + connections.websocket, 0)).toBe(1);
    expect(pods.reduce((sum, { connections }) => sum + connections.polling, 0)).toBe(1);
    expect(pods.filter(({ bridge }) => bridge)).toHaveLength(withRedis ? 1 : 0);
    for (const { version, node, lag, notReady } of pods) {
      expect(version).toMatch(/^\d+\.\d+\.\d+/);
      expect({ node, lag, notReady }).toEqual({ node: process.version, lag: 0, notReady: [] });
    }
  });
});

test('a disconnect request that names neither a user nor a client is refused', async () => {
  const pod = await Pod.start(cleanup);
  const bad = [
    {},
    [],
    null,
    { user: '' },
    { user: 5 },
    { user: 'a', sid: 'b' },
    { user: 'a', more: 1 },
    { sid: 'x'.repeat(257) },
  ];
  for (const body of bad) {
    const answer = await pod.post('/v1/disconnect', body);
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([422, 'invalid_disconnect']);
  }
  const answer = await pod.post('/v1/disconnect', 'x'.repeat(5000));
  expect(answer.status).toBe(413);
});

test('an order that two readers would read differently is refused, and ends nobody', async () => {
  const pod = await Pod.start(cleanup);
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const sid = JSON.stringify(client.socket.id);
  const bad: [string, string][] = [
    [`{"sid":"other","sid":${sid}}`, 'duplicate_field'],
    [`{"sid":${sid},"sid":${sid}}`, 'duplicate_field'],
    [String.raw`{"s\u0069d":"other","sid":${sid}}`, 'duplicate_field'],
    [String.raw`{"user":"a","us\u0065r":"b"}`, 'duplicate_field'],
    [`{"reconnect":true,"sid":${sid},"reconnect":false}`, 'duplicate_field'],
    [String.raw`{"user":"\ud83d"}`, 'lone_surrogate'],
    [String.raw`{"sid":"\udcc8\ud83d"}`, 'lone_surrogate'],
    [`{"sid":${sid},"__proto__":{"reconnect":true}}`, 'invalid_disconnect'],
    [`{"sid":${'['.repeat(1000)}${']'.repeat(1000)}}`, 'invalid_disconnect'],
  ];
  for (const [body, code] of bad) {
    const answer = await pod.post('/v1/disconnect', body);
    const problem = (await answer.json()) as { code: string; detail: string };
    expect([body, answer.status, problem.code]).toEqual([body, 422, code]);
    expect(problem.detail).toMatch(
      code === 'invalid_disconnect' ? /^Send / : /^The field "(?:sid|user|reconnect)" .* Nobody was disconnected\.$/,
    );
  }
  expect(client.socket.connected).toBe(true);
  expect(await (await pod.post('/v1/disconnect', { user: '📈' })).json()).toEqual({ disconnected: 0 });
  expect(await (await pod.post('/v1/disconnect', `{"reconnect":false,"sid":${sid}}`)).json()).toEqual({
    disconnected: 1,
  });
});

test('if a key is set, nobody without it can list clients or disconnect them', async () => {
  const pod = await Pod.start(cleanup, { API_KEY: 'the-key' });
  expect((await fetch(`${pod.adminUrl}/v1/info`)).status).toBe(401);
  expect((await pod.post('/v1/disconnect', { sid: 'x' })).status).toBe(401);
  expect((await pod.post('/v1/disconnect', { sid: 'x' }, { authorization: 'Bearer the-key' })).status).toBe(200);
});

test('while a pod does not answer, the others carry the request out and the caller is told', async () => {
  const [first, second] = await start(true, JWT);
  const client = await connect(first, 'bad');
  await second.child.kill('SIGSTOP');
  const answer = await first.post('/v1/disconnect', { user: 'bad' });
  await second.child.kill('SIGCONT');
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
  const problem = (await answer.json()) as { code: string; detail: string };
  expect(problem.code).toBe('pods_unreachable');
  expect(problem.detail).toContain(`from ${second.name}`);
  expect(client.disconnects).toEqual(['io server disconnect']);
});

test('a pod that was killed a moment ago is not waited for', async () => {
  const [first, second] = await start(true, {});
  const asked = info(first);
  await second.child.kill();
  expect((await info(first)).map(({ pod }) => pod)).toEqual([first.name]);
  expect((await asked).map(({ pod }) => pod)).toContain(first.name);
});

test('while Redis is away the caller knows, at once or when the answers are due', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  await redis.kill();
  const answers = await Promise.all([fetch(`${pod.adminUrl}/v1/info`), pod.post('/v1/disconnect', { sid: 'nobody' })]);
  await pod.notReady('redis');
  answers.push(await fetch(`${pod.adminUrl}/v1/info`), await pod.post('/v1/disconnect', { sid: 'nobody' }));
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 503]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
