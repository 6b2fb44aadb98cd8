import { afterEach, describe, expect, test } from 'vitest';
import { scriptLoader } from '../../src/redis/lua-script.js';
import { RedisTopicStore } from '../../src/delivery/redis-topic-store.js';
import { GENERATIONS, MemoryTopicStore, TOPICS_TTL_MS, type TopicStore } from '../../src/delivery/topic-store.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function redisStore(): Promise<TopicStore> {
  const redis = (await RedisServer.start(cleanup)).client(cleanup);
  return new RedisTopicStore((file) => {
    const run = scriptLoader(redis)(file);
    return async (keys, args) => {
      const answer = await run(keys, args);
      for (const key of keys) {
        const left = await redis.pttl(key);
        if (left !== -2) expect(left).toBeGreaterThan(TOPICS_TTL_MS - 60_000);
      }
      return answer;
    };
  }, 'gateway');
}

test('topics kept in memory take what 64 MB hold, short ones too, and the oldest go first', async () => {
  const store = new MemoryTopicStore();
  const topics = Array.from({ length: 1024 }, (_, i) => i.toString(36));
  // As strings of their own they would take some 40 KB each.
  for (let i = 0; i < 2000; i++) await store.save(`p${i}`, { generation: 0, topics });
  // Nobody can tell it from a client that never chose any.
  expect(await store.claim('p0')).toBe('forgotten');
  expect(await store.claim('never chose')).toBe('forgotten');
  expect(await store.claim('p500')).toMatchObject({ topics });
  expect(await store.claim('p1999')).toMatchObject({ topics });
});

test('stored topics from before unpaired surrogates were refused are left out', async () => {
  const redis = (await RedisServer.start(cleanup)).client(cleanup);
  const store = new RedisTopicStore(scriptLoader(redis), 'gateway');
  await store.save('p', { generation: 0, topics: ['BTC\ud83d', '📈', '\ufffd', 'A@1m'] });
  expect(await store.claim('p')).toMatchObject({ topics: ['📈', '\ufffd', 'A@1m'] });
});

describe.each([
  ['in memory', () => Promise.resolve<TopicStore>(new MemoryTopicStore())],
  ['in Redis', redisStore],
])('topics kept %s', (_name, make) => {
  test('are replaced by the same generation or a newer one, never by an older one', async () => {
    const store = await make();
    await store.save('p', { generation: 2, topics: ['A'] });
    await store.save('p', { generation: 2, topics: ['B', 'x"y'] });
    await expect(store.save('p', { generation: 1, topics: ['C'] })).rejects.toThrow('a newer connection');
    expect(await store.claim('p')).toEqual({ generation: GENERATIONS, topics: ['B', 'x"y'] });
    expect(await store.claim('q')).toBeUndefined();
  });

  test('belong to the last connection that claimed them', async () => {
    const store = await make();
    await store.save('p', { generation: 9, topics: [] });
    const claimed = await store.claim('p');
    expect(claimed).toEqual({ generation: GENERATIONS, topics: [] });
    await expect(store.save('p', { generation: 10, topics: ['A'] })).rejects.toThrow('a newer connection');
    await store.save('p', { generation: GENERATIONS + 3, topics: ['B'] });
    expect(await store.claim('p')).toEqual({ generation: 2 * GENERATIONS, topics: ['B'] });
    // Numbers stay exact as they grow.
    const high = 2_000_000 * GENERATIONS + 1;
    await store.save('p', { generation: high, topics: ['C'] });
    expect(await store.claim('p')).toEqual({ generation: high - 1 + GENERATIONS, topics: ['C'] });
  });
});
