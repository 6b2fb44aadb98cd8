import { afterEach, describe, expect, test } from 'vitest';
import type { Redis } from 'ioredis';
import { MemoryTopicStore } from '../../src/delivery/memory-topic-store.js';
import { RedisTopicStore } from '../../src/delivery/redis-topic-store.js';
import { BRIEF_TTL_MS, GENERATIONS, LONG_TTL_MS, type TopicStore } from '../../src/delivery/topic-store.js';
import { scriptLoader } from '../../src/redis/lua-script.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const KEYS = ['{gateway}:kept-topics', '{gateway}:kept-topics:brief', '{gateway}:kept-topics:long'];

async function redisStore(...args: string[]): Promise<{ store: RedisTopicStore; redis: Redis; server: RedisServer }> {
  const server = await RedisServer.start(cleanup, args);
  const redis = server.client(cleanup);
  return { store: new RedisTopicStore(scriptLoader(redis), 'gateway'), redis, server };
}

/** So many topics that nobody else has. */
function topicsOf(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${name}-${i}`);
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
}

describe.each([
  ['in memory', () => Promise.resolve<TopicStore>(new MemoryTopicStore())],
  ['in Redis', async (): Promise<TopicStore> => (await redisStore()).store],
])('topics kept %s', (_name, make) => {
  test('are replaced by the same generation or a newer one, never by an older one', async () => {
    const store = await make();
    await store.save('p', { generation: 2, topics: ['A'] }, BRIEF_TTL_MS);
    await store.save('p', { generation: 2, topics: ['B', 'x"y'] }, LONG_TTL_MS);
    await expect(store.save('p', { generation: 1, topics: ['C'] }, LONG_TTL_MS)).rejects.toThrow('a newer connection');
    expect(await store.claim('p')).toEqual({ generation: GENERATIONS, topics: ['B', 'x"y'] });
    expect(await store.claim('q')).toEqual({ generation: GENERATIONS, topics: undefined });
  });

  test('belong to the last connection that claimed them', async () => {
    const store = await make();
    await store.save('p', { generation: 9, topics: [] }, LONG_TTL_MS);
    const claimed = await store.claim('p');
    expect(claimed).toEqual({ generation: GENERATIONS, topics: [] });
    const late = store.save('p', { generation: 10, topics: ['A'] }, LONG_TTL_MS);
    await expect(late).rejects.toThrow('a newer connection');
    await store.save('p', { generation: GENERATIONS + 3, topics: ['B'] }, BRIEF_TTL_MS);
    expect(await store.claim('p')).toEqual({ generation: 2 * GENERATIONS, topics: ['B'] });
    // Numbers stay exact as they grow.
    const high = 2_000_000 * GENERATIONS + 1;
    await store.save('p', { generation: high, topics: ['C'] }, LONG_TTL_MS);
    expect(await store.claim('p')).toEqual({ generation: high - 1 + GENERATIONS, topics: ['C'] });
  });

  test('take at most 16 MB, and those of clients that were connected for seconds go first', async () => {
    const store = await make();
    await store.save('settled', { generation: 0, topics: ['A'] }, LONG_TTL_MS);
    // 2,000 clients with 16 KB each.
    for (let i = 0; i < 2000; i++) {
      await store.save(`p${i}`, { generation: 0, topics: topicsOf('x'.repeat(10), 1000) }, BRIEF_TTL_MS);
    }
    expect(await store.claim('p0')).toMatchObject({ topics: undefined });
    expect(await store.claim('p1000')).toMatchObject({ topics: undefined });
    expect((await store.claim('p1999')).topics).toHaveLength(1000);
    expect(await store.claim('settled')).toMatchObject({ topics: ['A'] });
  });
});

test('stored topics from before unpaired surrogates were refused are left out', async () => {
  const { store } = await redisStore();
  await store.save('p', { generation: 0, topics: ['BTC\ud83d', '📈', '\ufffd', 'A@1m'] }, LONG_TTL_MS);
  expect(await store.claim('p')).toMatchObject({ topics: ['📈', '\ufffd', 'A@1m'] });
});

test.each([
  ['many topics', 1000, 12],
  ['a single topic', 1, 8],
])('topics kept in Redis take a sixteenth of maxmemory at most, of clients with %s', async (_name, count, length) => {
  const limitBytes = 48 * 1024 * 1024;
  const { store, redis } = await redisStore('--maxmemory', String(limitBytes), '--maxmemory-policy', 'noeviction');
  await store.save('first', { generation: 0, topics: ['A'] }, BRIEF_TTL_MS);
  const before = await usedBytes(redis);
  const clients = count === 1 ? 40_000 : 1000;
  for (let i = 0; i < clients; i += 500) {
    const names = Array.from({ length: 500 }, (_, n) => `client-of-20-signs${i + n}`);
    await Promise.all(
      names.map((pid) => store.save(pid, { generation: 0, topics: topicsOf('t'.repeat(length), count) }, BRIEF_TTL_MS)),
    );
  }
  expect((await usedBytes(redis)) - before).toBeLessThan(limitBytes / 16);
  // All of it is of use.
  expect((await usedBytes(redis)) - before).toBeGreaterThan(limitBytes / 40);
  expect(await store.claim('first')).toMatchObject({ topics: undefined });
  expect(await store.claim(`client-of-20-signs${clients - 1}`)).not.toMatchObject({ topics: undefined });
});

test('a client that chooses over and over pushes nobody out', async () => {
  const { store, redis } = await redisStore('--maxmemory', String(16 * 1024 * 1024));
  await store.save('other', { generation: 0, topics: ['A'] }, BRIEF_TTL_MS);
  for (let i = 0; i < 20_000; i += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, n) => store.save('busy', { generation: i + n, topics: [`S${n}`] }, BRIEF_TTL_MS)),
    );
  }
  expect(await store.claim('other')).toMatchObject({ topics: ['A'] });
  expect(await redis.llen(KEYS[1] ?? '')).toBeLessThan(20);
});

test('topics kept in Redis end by themselves, those of a settled client later', async () => {
  const { store, redis } = await redisStore();
  await store.save('brief', { generation: 0, topics: ['A'] }, 300);
  await store.save('settled', { generation: 0, topics: ['B'] }, LONG_TTL_MS);
  await store.save('settled', { generation: 1, topics: ['C'] }, BRIEF_TTL_MS);
  for (const key of KEYS) expect(await redis.pttl(key)).toBeGreaterThan(LONG_TTL_MS);
  while (Number(((await redis.hget(KEYS[0] ?? '', 'brief')) ?? '').split(' ')[1]) > Date.now());
  expect(await store.claim('brief')).toMatchObject({ topics: undefined });
  await store.save('third', { generation: 0, topics: [] }, LONG_TTL_MS);
  expect(await redis.hexists(KEYS[0] ?? '', 'brief')).toBe(0);
  expect(await store.claim('settled')).toMatchObject({ topics: ['C'] });
});

test('topics that Redis had before it was started again are not trusted until a pod has saved them again', async () => {
  const { store, server } = await redisStore('--appendonly', 'yes', '--appendfsync', 'always');
  await store.save('p', { generation: 3, topics: ['A'] }, LONG_TTL_MS);
  await store.save('q', { generation: 3, topics: ['A'] }, LONG_TTL_MS);
  expect(await store.look()).toBe(false);
  await server.restart();
  const again = new RedisTopicStore(scriptLoader(server.client(cleanup)), 'gateway');
  expect(await again.claim('p')).toEqual({ generation: GENERATIONS, topics: undefined });
  // What an earlier connection saves must not pass for what the new one has.
  await expect(again.save('p', { generation: 4, topics: ['B'] }, LONG_TTL_MS)).rejects.toThrow('a newer connection');
  await again.save('q', { generation: 3, topics: ['A'] }, LONG_TTL_MS);
  expect(await again.claim('q')).toEqual({ generation: GENERATIONS, topics: ['A'] });
});

test('a store notices that it is another Redis that answers', async () => {
  const { store, redis, server } = await redisStore();
  expect(await store.look()).toBe(false);
  expect(await store.look()).toBe(false);
  // A failover to a replica and back: the same process with another history.
  const replica = await RedisServer.start(cleanup, ['--repl-diskless-sync-delay', '0']);
  await redis.replicaof('127.0.0.1', replica.port);
  await redis.replicaof('NO', 'ONE');
  expect(await store.look()).toBe(true);
  expect(await store.look()).toBe(false);
  expect(server.port).toBeGreaterThan(0);
});

test('topics can be claimed while Redis has no memory left', async () => {
  const { store, redis } = await redisStore('--maxmemory-policy', 'noeviction');
  await store.save('p', { generation: 0, topics: ['A'] }, BRIEF_TTL_MS);
  await redis.config('SET', 'maxmemory', '1');
  await expect(redis.set('x', 'y')).rejects.toThrow('OOM');
  expect(await store.claim('p')).toEqual({ generation: GENERATIONS, topics: ['A'] });
  await expect(store.save('q', { generation: 0, topics: ['A'] }, BRIEF_TTL_MS)).rejects.toThrow('OOM');
});
