import { test } from '../../support/own-cleanup.js';
import { REDIS_KINDS, feedThrough } from '../../support/redis-kinds.js';

for (const [name, start] of Object.entries(REDIS_KINDS)) {
  test(
    `every one of 12 clients gets 500 signals once and in order, through a break, over ${name}`,
    async ({ cleanup }) => feedThrough(cleanup, await start(cleanup), { signals: 500, clients: 12, pods: 3 }),
    300_000,
  );
}
