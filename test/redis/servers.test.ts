import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect } from 'vitest';
import { deleted, historyOf } from '../support/deletion.js';
import { ROOT } from '../support/manifests.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod, everyoneHas } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

/** What a program says of itself, such as `Redis server v=7.0.15 …`; `undefined` if it cannot be run. */
function versionOf(program: string): string | undefined {
  try {
    return /^((?:\w+ )?server v=\S+)/i.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined;
  }
}

/** The servers to try: the one of every other test, a Valkey on the PATH, and those that REDIS_SERVERS names. */
const ASKED = ['redis-server', 'valkey-server', ...(process.env['REDIS_SERVERS'] ?? '').split(',')].filter(Boolean);
const SERVERS = ASKED.flatMap((program) => {
  const name = versionOf(program);
  return name === undefined ? [] : [{ program, name }];
});

afterAll(() => {
  const left = ASKED.filter((program) => SERVERS.every((server) => server.program !== program));
  if (left.length > 0) process.stdout.write(`not tried, since it cannot be run: ${left.join(', ')}\n`);
  if (process.env['REDIS_SERVERS'] === undefined)
    process.stdout.write('tried with the servers on the PATH; REDIS_SERVERS=<path>,<path> names others\n');
});

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--repl-diskless-sync-delay', '0'];

/** A server on which the gateway has the rights of docs/operations.md, and no others. */
async function serverWithRights(cleanup: Cleanup, program: string): Promise<{ redis: RedisServer; url: string }> {
  const docs = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const [, rights = ''] = /^user (gateway on >PASSWORD .*)$/m.exec(docs) ?? [];
  const redis = await RedisServer.startProgram(cleanup, program, { args: DURABLE });
  await redis.client(cleanup).call('ACL', 'SETUSER', ...rights.split(' '));
  return { redis, url: redis.url.replace('//', '//gateway:PASSWORD@') };
}

function prices(client: FeedClient): number[] {
  return client.signals.map(([payload]) => (payload as { price: number }).price);
}

describe.each(SERVERS)('$name', ({ program }) => {
  test('carries a feed: every way in and out, with the rights that are written down', async ({ cleanup }) => {
    const { redis, url } = await serverWithRights(cleanup, program);
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: url })));
    const [one, two] = pods as [Pod, Pod];
    const clients = await Promise.all(pods.map((pod) => FeedClient.connect(cleanup, pod.url)));
    const producer = redis.client(cleanup);
    for (let price = 1; price < 100; price += 2) {
      await producer.publish('new_signal', JSON.stringify(signal(price)));
      await everyoneHas(clients, price);
      expect((await one.post('/v1/signals', signal(price + 1))).status).toBe(202);
    }
    await everyoneHas(clients, 100);
    for (const client of clients) expect(prices(client)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));

    await producer.publish('status_update', JSON.stringify(status()));
    await producer.publish('new_signal', 'rubbish');
    await clients[0]?.socket.timeout(30_000).emitWithAck('subscribe', ['ETH/USDT']);
    for (const repeated of [null, 'true']) {
      const answer = await two.post('/v1/signals', signal(101), { 'idempotency-key': 'once' });
      expect([answer.status, answer.headers.get('idempotent-replayed')]).toEqual([202, repeated]);
    }
    await deleted(one, (await historyOf(one)).entries[0]?.offset);
    expect((await fetch(`${one.adminUrl}/v1/info`)).status).toBe(200);
    expect(await producer.call('ACL', 'LOG')).toEqual([]);
    expect(pods.flatMap((pod) => pod.logs().filter(({ level }) => Number(level) >= 50))).toEqual([]);
  });

  test('gives a client everything once and in order over a restart', async ({ cleanup }) => {
    const redis = await RedisServer.startProgram(cleanup, program, { args: DURABLE });
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
    const clients = await Promise.all(pods.map((pod) => FeedClient.connect(cleanup, pod.url)));
    for (const price of [1, 2, 3]) expect((await pods[0]?.post('/v1/signals', signal(price)))?.status).toBe(202);
    await redis.restart();
    await until('to publish', async () => (await pods[1]?.post('/v1/signals', signal(4)))?.status === 202);
    await everyoneHas(clients, 4);
    for (const client of clients) expect(prices(client)).toEqual([1, 2, 3, 4]);
  });

  test('says when a replica has what was published, also for a repeated request', async ({ cleanup }) => {
    const redis = await RedisServer.startProgram(cleanup, program, { args: DURABLE });
    const replica = await redis.replica(cleanup);
    const pods = await Promise.all(
      [1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url, JOURNAL_MIN_REPLICAS: '1' })),
    );
    const key = { 'idempotency-key': 'once' };
    expect((await pods[0]?.post('/v1/signals', signal(1)))?.status).toBe(202);
    await replica.kill('SIGSTOP');
    for (const pod of pods) expect((await pod.post('/v1/signals', signal(2), key)).status).toBe(503);
    await replica.kill('SIGCONT');
    expect((await pods[1]?.post('/v1/signals', signal(2), key))?.headers.get('idempotent-replayed')).toBe('true');
    expect(await replica.client(cleanup).xlen('{gateway}:journal')).toBe(2);
  });
});
