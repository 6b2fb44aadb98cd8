import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AccidentLoad } from '../support/accident-load.js';
import { cli } from '../support/cli.js';
import { read } from '../docs/markdown.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST, serverPort } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';

const whole = new Cleanup();
const cleanup = new Cleanup();
afterEach(() => cleanup.run());
afterAll(() => whole.run());

interface Finding {
  readonly code: string;
  readonly level: 'wrong' | 'note';
  readonly what: string;
  readonly done?: string;
  readonly failed?: string;
}

interface Report {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

let redis: RedisServer;
let hand: Redis;
beforeAll(async () => {
  redis = await RedisServer.start(whole);
  hand = redis.client(whole);
  const pod = await Pod.start(whole, { REDIS_URL: redis.url });
  for (let price = 1; price <= 5; price++) await pod.post('/v1/signals', signal(price));
  await pod.post('/v1/status', status());
  // What is broken below must not be mended by a gateway.
  await pod.child.kill('SIGTERM');
}, 60_000);

async function doctor(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | string; report: Report }> {
  const child = cli(cleanup, ['doctor', '--json', ...args], { REDIS_URL: redis.url, ...env });
  const code = await child.exit;
  expect(child.stderr).toBe('');
  return { code, report: JSON.parse(child.stdout) as Report };
}

function wrong({ findings }: Report): string[] {
  return findings.filter(({ level, done }) => level === 'wrong' && done === undefined).map(({ code }) => code);
}

/** Everything that is in Redis. */
async function content(): Promise<Record<string, string>> {
  const dumps: Record<string, string> = {};
  for (const key of (await hand.keys('*')).toSorted()) dumps[key] = (await hand.dumpBuffer(key)).toString('base64');
  return dumps;
}

test('a Redis that is well has nothing wrong, and the exit code is 0', async () => {
  const { code, report } = await doctor();
  expect([code, report.ok, wrong(report)]).toEqual([0, true, []]);
  expect(report.findings.map(({ code: name }) => name)).toEqual(
    expect.arrayContaining(['server', 'lease', 'kept_topics']),
  );
  const people = cli(cleanup, ['doctor'], { REDIS_URL: redis.url });
  expect([await people.exit, people.stderr]).toEqual([0, '']);
  expect(people.stdout).toMatch(/^ {2}note {4}The server is Redis \d/m);
  expect(people.stdout).toMatch(/^Nothing is wrong\.$/m);
});

const LARGEST = '18446744073709551615-18446744073709551615';
const JOURNAL = '{gateway}:journal';
const META = '{gateway}:meta';

test.each<[name: string, code: string, breaks: () => Promise<unknown>]>([
  ['foreign entries', 'foreign_entries', () => hand.xadd(JOURNAL, '*', 'x', 'y')],
  ['foreign deletions', 'foreign_deletions', () => hand.xadd('{gateway}:deletions', '*', 'x', 'y')],
  ['foreign statuses', 'foreign_statuses', () => hand.hset('{gateway}:statuses', 'A', 'junk')],
  [
    'a key of the wrong type',
    'wrong_type',
    () => hand.multi().del('{gateway}:claim').sadd('{gateway}:claim', 'x').exec(),
  ],
  ['a missing meta', 'meta_missing', () => hand.del(META)],
  ['a meta that makes no sense', 'meta_damaged', () => hand.hset(META, 'seq', 'junk')],
  [
    'a meta behind its stream',
    'meta_behind',
    async () => hand.call('XSETID', JOURNAL, `${Number(await hand.hget(META, 'seq')) + 9}-0`),
  ],
  ['ids that are used up', 'ids_used_up', () => hand.xadd(JOURNAL, LARGEST, 'x', 'y')],
])('%s: told, nothing changed; with --repair mended, and then nothing is wrong', async (_, name, breaks) => {
  await breaks();
  const before = await content();
  const told = await doctor();
  expect(told.code).toBe(1);
  expect(wrong(told.report)).toContain(name);
  expect(await content()).toEqual(before);
  const { code, report } = await doctor(['--repair']);
  expect([code, report.ok, wrong(report)]).toEqual([0, true, []]);
  expect(report.findings.find((finding) => finding.code === name)?.done).toMatch(/^[A-Z{].*\.$/);
  const after = await doctor();
  expect([after.code, wrong(after.report)]).toEqual([0, []]);
});

test('a key that is set aside is named later, and still has what it had', async () => {
  await hand.multi().del('{gateway}:rejected').set('{gateway}:rejected', 'somebody needs this').exec();
  await doctor(['--repair']);
  const { report } = await doctor();
  const aside = /\{gateway\}:set-aside:\d+:rejected/.exec(
    report.findings.find(({ code }) => code === 'set_aside')?.what ?? '',
  );
  expect(await hand.get(aside?.[0] ?? '')).toBe('somebody needs this');
});

test('a server that evicts keys, or refuses writes, is wrong', async () => {
  await hand.config('SET', 'maxmemory-policy', 'volatile-lru');
  await hand.config('SET', 'maxmemory', '1');
  const { code, report } = await doctor();
  await hand.config('SET', 'maxmemory', '0');
  await hand.config('SET', 'maxmemory-policy', 'noeviction');
  expect([code, wrong(report)]).toEqual([1, ['eviction', 'writes_refused']]);
  await hand.config('SET', 'min-replicas-to-write', '1');
  const refused = await doctor();
  await hand.config('SET', 'min-replicas-to-write', '0');
  expect([refused.code, wrong(refused.report)]).toEqual([1, ['writes_refused']]);
});

test('repairs while gateways run lose nothing', async () => {
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const load = await AccidentLoad.start(cleanup, pods, hand);
  for (let i = 0; i < 30; i++) await hand.xadd(JOURNAL, '*', 'x', String(i));
  await hand.xadd('{gateway}:deletions', '*', 'x', 'y');
  await hand.hset('{gateway}:statuses', 'A', 'junk');
  const { code, report } = await doctor(['--repair']);
  expect([code, wrong(report)]).toEqual([0, []]);
  expect(report.findings.filter(({ done }) => done !== undefined)).toHaveLength(3);
  await load.flows();
  await load.end();
  expect(load.faults(false)).toEqual([]);
  expect(load.clients.flatMap(({ gaps }) => gaps)).toEqual([]);
});

test('on a cluster the rights of a gateway suffice, and what they do not let it check is named', async () => {
  const cluster = await RedisCluster.start(cleanup);
  const [, rights = ''] = /^user (gateway on >PASSWORD .*cluster.*)$/m.exec(read('docs/operations.md')) ?? [];
  for (const node of cluster.nodeClients(cleanup)) await node.call('ACL', 'SETUSER', ...rights.split(' '));
  const { code, report } = await doctor([], { REDIS_URL: cluster.url.replace('//', '//gateway:PASSWORD@') });
  expect([code, wrong(report)]).toEqual([0, []]);
  const unchecked = report.findings.map((finding) => finding.code).filter((name) => name.endsWith('_unknown'));
  expect(unchecked).toEqual(['slot_unknown', 'set_aside_unknown']);
});

test('without a Redis to look at, the exit code is 2; with one that is not there, it is 1', async () => {
  const none = cli(cleanup, ['doctor'], {});
  expect([await none.exit, none.stdout]).toEqual([2, '']);
  expect(none.stderr).toContain('REDIS_URL');
  const { code, report } = await doctor([], { REDIS_URL: `redis://${HOST}:${await serverPort()}` });
  expect([code, wrong(report)]).toEqual([1, ['unreachable']]);
});
