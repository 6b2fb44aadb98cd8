import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ROOT } from '../support/manifests.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test('the rights that docs/operations.md gives to the Redis user are enough, and do not reach foreign keys', async () => {
  const docs = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const [, rights = ''] = /^user (gateway on >PASSWORD .*)$/m.exec(docs) ?? [];
  const redis = await RedisServer.start(cleanup);
  const admin = redis.client(cleanup);
  await admin.call('ACL', 'SETUSER', ...rights.split(' '));
  const env = { REDIS_URL: redis.url.replace('//', '//gateway:PASSWORD@') };

  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, env)));
  const clients = await Promise.all(pods.map(({ url }) => FeedClient.connect(cleanup, url)));
  await admin.publish('status_update', JSON.stringify(status()));
  await admin.publish('new_signal', 'rubbish');
  await admin.publish('new_signal', JSON.stringify(signal(1)));
  await until('the first signal', () => clients.every(({ signals }) => signals.length === 1), { seen: () => clients });
  // The bridge changes hands.
  const [first, second] = pods;
  await first?.child.kill('SIGKILL');
  await admin.publish('new_signal', JSON.stringify(signal(2)));
  await until('the second signal', () => clients[1]?.signals.length === 2, { seen: () => clients });
  expect((await second?.post('/v1/signals', signal(3)))?.status).toBe(202);
  expect((await fetch(`${second?.adminUrl}/v1/signals`)).status).toBe(200);
  const { entries } = (await (await fetch(`${second?.adminUrl}/v1/signals`)).json()) as {
    entries: { offset: string }[];
  };
  for (const { offset } of entries) {
    const url = `${second?.adminUrl}/v1/entries/${offset}?reason=wrong`;
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(200);
  }
  expect(await admin.llen('{gateway}:rejected')).toBeGreaterThan(0);
  expect(await admin.call('ACL', 'LOG')).toEqual([]);

  await expect(admin.call('ACL', 'DRYRUN', 'gateway', 'get', 'foreign')).resolves.toContain('no permissions');
  await expect(admin.call('ACL', 'DRYRUN', 'gateway', 'flushall')).resolves.toContain('no permissions');
});
