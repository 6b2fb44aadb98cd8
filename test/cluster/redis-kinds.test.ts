import { test } from '../support/own-cleanup.js';
import { REDIS_KINDS, feedThrough } from '../support/redis-kinds.js';

// test/long/cluster/redis-kinds.test.ts sends more to more.
for (const [name, start] of Object.entries(REDIS_KINDS)) {
  test.concurrent(
    `every client gets every signal once and in order, through a break, over ${name}`,
    async ({ cleanup }) => feedThrough(cleanup, await start(cleanup), { signals: 60, clients: 4, pods: 2 }),
    180_000,
  );
}
