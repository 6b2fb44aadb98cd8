import { afterEach, describe, expect, test } from 'vitest';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Answer {
  readonly status: number;
  readonly replayed: string | null;
  readonly body: { offsets?: string[]; code?: string };
}

async function post(pod: Pod, key: string, body: unknown, path = '/v1/signals'): Promise<Answer> {
  const answer = await pod.post(path, body, { 'idempotency-key': key });
  return {
    status: answer.status,
    replayed: answer.headers.get('idempotent-replayed'),
    body: (await answer.json()) as Answer['body'],
  };
}

function prices(client: FeedClient): unknown[] {
  return client.signals.map(([payload]) => (payload as { price: number }).price);
}

describe.each([
  ['without Redis', false],
  ['with Redis, across pods', true],
])('an Idempotency-Key, %s,', (_name, withRedis) => {
  test('publishes a request once, answers a repetition like the first, and refuses another request of that name', async () => {
    const redis = withRedis ? await RedisServer.start(cleanup) : undefined;
    const env: Record<string, string> = redis === undefined ? {} : { REDIS_URL: redis.url };
    const pods = await Promise.all((withRedis ? [1, 2] : [1]).map(() => Pod.start(cleanup, env)));
    const [first, second = first] = pods;
    if (first === undefined || second === undefined) throw new Error('pods were started');
    const client = await FeedClient.connect(cleanup, first.url, { transports: ['websocket'] });
    const batch = [signal(1), signal(2)];
    const [one, ...rest] = (
      await Promise.all(Array.from({ length: 10 }, (_, i) => post(i % 2 === 0 ? first : second, 'a key', batch)))
    ).toSorted((a, b) => Number(a.replayed === 'true') - Number(b.replayed === 'true'));
    expect(one).toMatchObject({ status: 202, replayed: null });
    for (const answer of rest) expect(answer).toEqual({ ...one, replayed: 'true' });

    const reused = { status: 422, body: { code: 'idempotency_key_reused' } };
    expect(await post(second, 'a key', [signal(1), signal(3)])).toMatchObject(reused);
    expect(await post(second, 'a key', { service: 's', status: 'active', message: 'm' }, '/v1/status')).toMatchObject(
      reused,
    );
    // What was refused for its own sake does not use a name up.
    expect(await post(first, 'another key', [signal(4), { price: -1 }])).toMatchObject({ status: 422 });
    expect(await post(second, 'another key', signal(5))).toMatchObject({ status: 202, replayed: null });
    await until('the signals', () => client.signals.length >= 3, { seen: () => client });
    expect(prices(client)).toEqual([1, 2, 5]);
    const accepted = await Promise.all(pods.map((pod) => pod.metric('gateway_messages_accepted_total')));
    expect(accepted.reduce((sum, count) => sum + count, 0)).toBe(3);
    if (redis === undefined) return;
    // They are known for five minutes.
    const admin = redis.client(cleanup);
    const kept = await Promise.all((await admin.keys('{gateway}:request:*')).map((name) => admin.pttl(name)));
    expect(kept).toHaveLength(2);
    for (const left of kept) {
      expect(left).toBeGreaterThan(240_000);
      expect(left).toBeLessThanOrEqual(300_000);
    }
  });
});

test('a key that is too long, or not of visible ASCII characters, is refused', async () => {
  const pod = await Pod.start(cleanup);
  for (const key of ['x'.repeat(256), 'sch\u00f6n', 'a\tb']) {
    expect(await post(pod, key, signal(1))).toMatchObject({ status: 400, body: { code: 'invalid_idempotency_key' } });
  }
  expect((await post(pod, 'x'.repeat(255), signal(1))).status).toBe(202);
});

test('requests that are repeated with their keys until they are answered are published once each, over a Redis that stops and is killed', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const client = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const count = 150;
  let retries = 0;
  const publishing = (async () => {
    for (let i = 0; i < count; i++) {
      await until(
        'the signal to be taken',
        async () => {
          const { status } = await post(pod, `order ${i}`, signal(i));
          if (status !== 202) retries++;
          return status === 202;
        },
        { limit: 30_000 },
      );
    }
  })();
  await until('some signals', () => client.signals.length > 30);
  await redis.kill('SIGSTOP');
  await until('a refusal', () => retries > 0);
  await redis.kill('SIGCONT');
  await until('more signals', () => client.signals.length > 80);
  await redis.restart();
  await publishing;
  await until('the last signal', () => prices(client).at(-1) === count - 1, { seen: () => client });
  expect(prices(client)).toEqual(Array.from({ length: count }, (_, i) => i));
});
