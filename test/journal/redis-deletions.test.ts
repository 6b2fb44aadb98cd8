import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import type { Offset } from '../../src/contract/offset.js';
import type { JournalEntry } from '../../src/journal/journal.js';
import { journalKeys } from '../../src/journal/redis-keys.js';
import { appendScript, deleteScript } from '../../src/journal/redis-scripts.js';
import {
  appendAll,
  counted,
  delivered,
  message,
  messages,
  nth,
  placeOf,
  priceOf,
  range,
  readAll,
} from './journal-suite.js';
import { JournalPod } from '../support/journal-pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { RedisGate } from '../support/redis-gate.js';
import { RedisServer } from '../support/redis.js';
import { TcpForwarder } from '../support/tcp-forwarder.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const JOURNAL = '{gateway}:journal';
const DELETIONS = '{gateway}:deletions';

/** Numbers of entries, counted from a place in their epoch, those that are deleted as negative ones. */
function shape(start: Offset, entries: readonly JournalEntry[]): number[] {
  const numbers = counted(start, entries);
  return entries.map(({ deleted, json }, i) => {
    expect(json === '').toBe(deleted === true);
    return (deleted ? -1 : 1) * (numbers[i] ?? 0);
  });
}

/** Numbers from 1 on, those that are deleted as negative ones. */
function expected(to: number, gone: readonly number[], from = 1): number[] {
  return range(from, to).map((seq) => (gone.includes(seq) ? -seq : seq));
}

/** Waits until a pod reads these entries after a place, and nothing else; from memory, or from Redis. */
async function reads(pod: JournalPod, after: Offset, wanted: readonly number[]): Promise<void> {
  let seen: number[] = [];
  await until(
    'the pod to read what is left',
    async () => {
      seen = shape(after, await readAll(pod.journal, after));
      return JSON.stringify(seen) === JSON.stringify(wanted);
    },
    { seen: () => ({ seen: seen.filter((seq) => seq < 0), length: seen.length, pod }) },
  );
}

async function remove(pod: JournalPod, places: readonly (Offset | undefined)[]): Promise<void> {
  for (const place of places) {
    if (place === undefined) throw new Error('there is no such place');
    expect(await pod.journal.delete(place, 'wrong')).toMatchObject({ outcome: 'deleted' });
  }
}

test('an entry that one pod deletes is gone on all: from memory, from Redis, and for pods that start later', async () => {
  const redis = await RedisServer.start(cleanup);
  const [pod, other] = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url: redis.url })));
  if (pod === undefined || other === undefined) throw new Error('unreachable');
  const start = placeOf(pod.journal.head());
  const places = [start, ...(await appendAll(pod.journal, messages(6000)))];
  await Promise.all([delivered(pod, 6000), delivered(other, 6000)]);
  // A pod that starts has the newest 5,000 in memory: there are some before those, the first of them, and some after.
  const gone = [1, 2, 500, 999, 1000, 1001, 1002, 3000, 5999, 6000];
  await remove(
    pod,
    gone.map((seq) => places[seq]),
  );
  const wanted = expected(6000, gone);
  expect(shape(start, await readAll(pod.journal, start))).toEqual(wanted);
  await reads(other, start, wanted);
  const fresh = await JournalPod.start(cleanup, { url: redis.url });
  for (const index of [0, 1, 2, 3, 498, 499, 500, 997, 998, 999, 1000, 1001, 1002, 1003, 5997, 5998, 5999, 6000]) {
    const place = places[index] ?? start;
    for (const one of [pod, other, fresh]) {
      expect(await one.journal.resolve(place)).toEqual({ ok: true });
      expect(shape(start, await readAll(one.journal, place))).toEqual(wanted.slice(index));
    }
  }
  expect(placeOf(await fresh.journal.back(5999))).toEqual(places[1]);
  expect(placeOf(await fresh.journal.back(Infinity))).toEqual(start);
  expect([pod, other, fresh].flatMap(({ gaps }) => gaps)).toEqual([]);
  // No text is left of them, anywhere in Redis.
  const left = JSON.stringify(await redis.client(cleanup).xrange(DELETIONS, '-', '+'));
  expect(left).not.toContain('"price');
  await fresh.journal.append([message(6001)]);
  await Promise.all([delivered(pod, 6001), delivered(other, 6001), delivered(fresh, 1)]);
  for (const one of [pod, other, fresh]) expect(one.journal.head()).toMatchObject(nth(start, 6001));
});

test('two pods that delete the same entries at once agree: each is deleted once, by one of them', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2, 3].map(() => JournalPod.start(cleanup, { url: redis.url })));
  const [pod] = pods;
  if (pod === undefined) throw new Error('unreachable');
  const places = await pod.journal.append(messages(20));
  await Promise.all(pods.map((one) => delivered(one, 20)));
  const answers = await Promise.all(places.flatMap((place) => pods.map((one) => one.journal.delete(place, 'wrong'))));
  const count = (outcome: string): number => answers.filter((one) => one.outcome === outcome).length;
  expect([count('deleted'), count('repeated')]).toEqual([20, 40]);
  expect(await redis.client(cleanup).xlen(DELETIONS)).toBe(20);
});

test('a fresh pod of a journal whose entries are all deleted knows their places', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await JournalPod.start(cleanup, { url: redis.url });
  const start = placeOf(pod.journal.head());
  await remove(pod, await pod.journal.append(messages(3)));
  const fresh = await JournalPod.start(cleanup, { url: redis.url });
  expect(placeOf(fresh.journal.head())).toEqual(nth(start, 3));
  expect(await fresh.journal.resolve(start)).toEqual({ ok: true });
  expect(shape(start, await readAll(fresh.journal, start))).toEqual([-1, -2, -3]);
  await fresh.journal.append([message(4)]);
  await delivered(pod, 4);
  expect(pod.entries.at(-1)).toMatchObject(nth(start, 4));
  expect([...pod.gaps, ...fresh.gaps]).toEqual([]);
});

describe('a reader that was away while entries were deleted', () => {
  test.each([
    ['in the middle of what it missed', [15, 16]],
    ['at the beginning of what it missed', [11, 12]],
    ['at the end of what it missed', [19, 20]],
    ['all that it missed', range(11, 20)],
    ['the newest that it had read', [10]],
    ['what it had read, and all since', range(1, 20)],
  ])('%s: it goes on in the same epoch, with what is left in its place', async (_, gone) => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const writer = await JournalPod.start(cleanup, { url: redis.url });
    const late = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    const start = placeOf(writer.journal.head());
    const places = [start, ...(await writer.journal.append(messages(10)))];
    await delivered(late, 10);
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !late.up);
    places.push(...(await writer.journal.append(messages(10, 11))));
    await remove(
      writer,
      gone.map((seq) => places[seq]),
    );
    forwarder.leadTo(redis.port);
    await late.linked();
    await delivered(late, 20);
    expect(shape(start, late.entries)).toEqual([
      ...range(1, 10),
      ...expected(
        20,
        gone.filter((seq) => seq > 10),
        11,
      ),
    ]);
    await reads(late, start, expected(20, gone));
    expect(counted(start, late.deleted)).toEqual(gone);
    await late.journal.append([message(21)]);
    await Promise.all([delivered(late, 21), delivered(writer, 21)]);
    for (const one of [late, writer]) {
      expect(one.journal.head()).toMatchObject(nth(start, 21));
      expect(one.gaps).toEqual([]);
    }
  });

  test('and others were trimmed: it is notified of those, and of the deleted ones that follow', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const writer = await JournalPod.start(cleanup, { url: redis.url, maxlen: 100 });
    const late = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url, maxlen: 100 });
    const start = placeOf(writer.journal.head());
    await writer.journal.append(messages(10));
    await delivered(late, 10);
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !late.up);
    await appendAll(writer.journal, messages(2000, 11), 100);
    const [oldest] = await redis.client(cleanup).xrange(JOURNAL, '-', '+', 'COUNT', 1);
    const from = Number(oldest?.[0].split('-')[0]) - start.seq;
    await remove(
      writer,
      [from, from + 1, from + 5].map((n) => nth(start, n)),
    );
    forwarder.leadTo(redis.port);
    await late.linked();
    const last = nth(start, 2010).seq;
    await until('the newest entry', () => late.entries.at(-1)?.seq === last, { seen: () => late });
    expect(shape(start, late.entries.slice(10))).toEqual(expected(2010, [from, from + 1, from + 5], from));
    expect(late.gaps).toEqual([{ reason: 'expired', requested: nth(start, 10), resumed: nth(start, from - 1) }]);
    // Who was at a place that is too old is not taken for one that only misses what was deleted.
    expect(await late.journal.resolve(nth(start, from - 2))).toEqual({ ok: false, reason: 'expired' });
    expect(await late.journal.resolve(nth(start, from - 1))).toEqual({ ok: true });
  });

  test('and a new epoch began with one of them: what is left of that still says that nothing is lost', async () => {
    const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const writer = await JournalPod.start(cleanup, { url: redis.url });
    const late = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    const start = placeOf(writer.journal.head());
    await writer.journal.append(messages(10));
    await delivered(late, 10);
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !late.up);
    // What a failover does: the same data under another replication id.
    await redis.client(cleanup).hset('{gateway}:meta', 'replid', 'another');
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    const [first, second] = await fresh.journal.append(messages(2, 11));
    expect(first?.epoch).not.toBe(start.epoch);
    await remove(fresh, [first]);
    forwarder.leadTo(redis.port);
    await late.linked();
    await delivered(late, 12);
    expect(shape(start, late.entries.slice(0, 10))).toEqual(range(1, 10));
    expect(late.entries.slice(10).map(placeOf)).toEqual([first, second]);
    expect(late.entries[10]).toMatchObject({ deleted: true, json: '', unbrokenFrom: nth(start, 10).seq });
    expect(late.gaps).toEqual([]);
    for (const one of [late, fresh]) {
      expect(await one.journal.resolve(nth(start, 10))).toEqual({ ok: true });
      const [tomb] = (await one.journal.read(nth(start, 10), 10)) ?? [];
      expect(tomb).toMatchObject({ ...first, deleted: true, unbrokenFrom: nth(start, 10).seq });
    }
  });
});

/** How many entries to append after a place, and which of them to delete. */
interface Batch {
  readonly start: Offset;
  readonly count: number;
  readonly gone: readonly number[];
}

/** Appends entries to an empty journal and deletes some, newest first, before anybody can read. */
async function appendAndDelete(client: Redis, { start, count, gone }: Batch): Promise<void> {
  const { meta, journal, statuses, lease, request, sources, deletions } = journalKeys('gateway');
  const head = [start.epoch, ':0', '1', 100_000, Date.now() + 60_000, '', 0, '0', '', 1000, '0', '', '', ''];
  const entries = messages(count).flatMap(({ event, json }, i) => [event, json, '', '', '', `h${i + 1}`]);
  const keys = [meta, journal, statuses, lease, request, sources];
  const all = client.multi().eval(appendScript.source, keys.length, ...keys, ...head, ...entries);
  for (const seq of gone.toReversed()) {
    const rest = ['wrong', '0', start.epoch, 'new_signal', '', '', '', 'name'];
    all.eval(deleteScript.source, 3, journal, deletions, statuses, nth(start, seq).seq, `h${seq}`, ...rest);
  }
  for (const [error] of (await all.exec()) ?? []) expect(error).toBeNull();
}

describe('a reader that was there while more entries were deleted at once than come with one answer of Redis', () => {
  test.each([
    ['every other one', range(1, 1500).map((n) => 2 * n - 1)],
    ['every other one, and the newest', [...range(1, 1499).map((n) => 2 * n - 1), 3000]],
    ['all but the newest', range(1, 2999)],
    ['all', range(1, 3000)],
  ])('%s: it gets the others, what is left of those, and no gap', async (_, gone) => {
    const redis = await RedisServer.start(cleanup);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    const start = placeOf(pod.journal.head());
    await appendAndDelete(redis.client(cleanup), { start, count: 3000, gone });
    await delivered(pod, 3000);
    expect(shape(start, pod.entries)).toEqual(expected(3000, gone));
    expect(pod.gaps).toEqual([]);
    await pod.journal.append([message(3001)]);
    await delivered(pod, 3001);
    expect(pod.entries.at(-1)).toMatchObject(nth(start, 3001));
    expect(pod.gaps).toEqual([]);
  });
});

test('an entry that is deleted while the pod reads all deletions again stays deleted, and nobody is notified twice', async () => {
  const redis = await RedisServer.start(cleanup);
  const gate = await RedisGate.open(cleanup, redis.port);
  const pod = await JournalPod.start(cleanup, { url: redis.url, readerUrl: gate.url });
  const client = redis.client(cleanup);
  const reader = async (): Promise<string | undefined> =>
    String(await client.client('LIST'))
      .split('\n')
      .find((line) => line.includes('name=test:reader '));
  const start = placeOf(pod.journal.head());
  const places = await pod.journal.append(messages(3));
  await delivered(pod, 3);
  const [, inHand] = pod.entries;
  if (inHand === undefined) throw new Error('unreachable');
  await remove(pod, [places[0]]);
  const isReading = gate.holdAt(':reader', 'xrange');
  await client.client('KILL', 'ID', / ?id=(\d+)/.exec((await reader()) ?? '')?.[1] ?? '');
  await until('the deletions to be read', isReading);
  // The answer to it is on its way: the next deletion is not in it.
  await until('Redis to have answered', async () => (await reader())?.includes(' cmd=xrange '));
  await remove(pod, [places[1]]);
  const isFurther = gate.holdAt(':reader', 'xrevrange');
  gate.release();
  await until('the reader to go on', isFurther);
  expect(pod.journal.current(inHand)).toMatchObject({ deleted: true, json: '' });
  gate.release();
  await pod.linked();
  expect(pod.journal.current(inHand)).toMatchObject({ deleted: true, json: '' });
  expect(counted(start, pod.deleted)).toEqual([1, 2]);
  expect(pod.gaps).toEqual([]);
});

/** Two pods on a primary with a replica, which can be cut off and promoted. */
async function beforeFailover(): Promise<{
  readonly pods: readonly JournalPod[];
  readonly onReplica: Redis;
  readonly entrance: TcpForwarder;
  /** From now on the replica gets nothing more. */
  readonly cutOff: () => Promise<void>;
  readonly promote: () => Promise<void>;
}> {
  const master = await RedisServer.start(cleanup, ['--repl-diskless-sync-delay', '0']);
  const toMaster = await TcpForwarder.open(cleanup, master.port);
  const replica = await RedisServer.start(cleanup, ['--replicaof', `${HOST} ${toMaster.port}`]);
  const entrance = await TcpForwarder.open(cleanup, master.port);
  const onReplica = replica.client(cleanup);
  await until('the replica to follow', async () =>
    (await onReplica.info('replication')).includes('master_link_status:up'),
  );
  const pods = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url: entrance.url })));
  return {
    pods,
    onReplica,
    entrance,
    cutOff: async () => {
      toMaster.hold();
      await replica.kill('SIGSTOP');
    },
    promote: async () => {
      await master.kill();
      toMaster.cut();
      await replica.kill('SIGCONT');
      await onReplica.replicaof('NO', 'ONE');
      entrance.leadTo(replica.port);
      await Promise.all(pods.map((pod) => pod.linked()));
    },
  };
}

describe('a deletion that Redis loses', () => {
  test('with a failover is carried out again, so that the payload does not come back', async () => {
    const { pods, onReplica, entrance, cutOff, promote } = await beforeFailover();
    const [pod, other] = pods;
    if (pod === undefined || other === undefined) throw new Error('unreachable');
    const start = placeOf(pod.journal.head());
    const places = [start, ...(await pod.journal.append(messages(10)))];
    await Promise.all([delivered(pod, 10), delivered(other, 10)]);
    await remove(pod, [places[3]]);
    await until('the replica to have the deletion', async () => (await onReplica.xlen(DELETIONS)) === 1);
    await cutOff();
    await remove(pod, [places[5], places[10]]);
    await reads(other, start, expected(10, [3, 5, 10]));
    await promote();
    await until('the deletions to be carried out again', async () => (await onReplica.xlen(JOURNAL)) === 7);
    const fresh = await JournalPod.start(cleanup, { url: entrance.url });
    for (const one of [pod, other, fresh]) await reads(one, start, expected(10, [3, 5, 10]));
    await fresh.journal.append([message(11)]);
    await Promise.all([delivered(pod, 11), delivered(other, 11)]);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 11));
    expect([...pod.gaps, ...other.gaps]).toEqual([]);
  });

  test('not, while the entries after it are lost: nobody is notified of it a second time', async () => {
    const { pods, onReplica, entrance, cutOff, promote } = await beforeFailover();
    const [pod, other] = pods;
    if (pod === undefined || other === undefined) throw new Error('unreachable');
    const places = await pod.journal.append(messages(10));
    await Promise.all([delivered(pod, 10), delivered(other, 10)]);
    await remove(pod, [places[8], places[9]]);
    await until('the replica to have the deletions', async () => (await onReplica.xlen(DELETIONS)) === 2);
    await cutOff();
    await pod.journal.append(messages(5, 11));
    await Promise.all([delivered(pod, 15), delivered(other, 15)]);
    await promote();
    const fresh = await JournalPod.start(cleanup, { url: entrance.url });
    await fresh.journal.append(messages(3, 16));
    await Promise.all([delivered(pod, 18), delivered(other, 18)]);
    for (const one of [pod, other]) {
      expect(one.entries.map(priceOf)).toEqual(range(1, 18));
      expect(one.gaps).toEqual([]);
    }
  });

  test('with its entry holds for who had read that before: a replay that has it in hand does not send it', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const pod = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    const [place] = await pod.journal.append(messages(3));
    await delivered(pod, 3);
    const [inHand] = pod.entries;
    if (inHand === undefined) throw new Error('unreachable');
    await remove(pod, [place]);
    await redis.client(cleanup).del(DELETIONS);
    for (let turn = 0; turn < 2; turn++) {
      forwarder.leadTo(0);
      await until('the reader to be cut off', () => !pod.up);
      forwarder.leadTo(redis.port);
      await pod.linked();
      expect(pod.journal.current(inHand)).toMatchObject({ deleted: true, json: '' });
    }
    expect(pod.deleted.map(placeOf)).toEqual([place]);
  });

  test('with all its data holds in the memory of the pods, and an entry that only they have can be deleted', async () => {
    const redis = await RedisServer.start(cleanup);
    const [pod, other] = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url: redis.url })));
    if (pod === undefined || other === undefined) throw new Error('unreachable');
    const start = placeOf(pod.journal.head());
    const places = [start, ...(await pod.journal.append(messages(10)))];
    await Promise.all([delivered(pod, 10), delivered(other, 10)]);
    await remove(pod, [places[3]]);
    await reads(other, start, expected(10, [3]));
    await redis.client(cleanup).flushall();
    await until('the new epoch to be read', async () => {
      await pod.journal.append([message(100)]);
      return [pod, other].every(({ journal }) => journal.head().epoch !== start.epoch);
    });
    const answers = await Promise.all([pod, other].map((one) => one.journal.delete(places[7] ?? start, 'wrong')));
    expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual(['deleted', 'repeated']);
    for (const one of [pod, other]) {
      await until(
        'it to be gone',
        async () =>
          JSON.stringify(shape(start, (await readAll(one.journal, start)).slice(0, 10))) ===
          JSON.stringify(expected(10, [3, 7])),
      );
    }
  });
});

test('a Redis that is full refuses a deletion as a whole: no hole without an explanation', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await JournalPod.start(cleanup, { url: redis.url });
  const start = placeOf(pod.journal.head());
  const places = await pod.journal.append(messages(5));
  await delivered(pod, 5);
  const client = redis.client(cleanup);
  await client.config('SET', 'maxmemory', '1');
  await expect(pod.journal.delete(places[2] ?? start, 'wrong')).rejects.toThrow('OOM');
  expect(await client.xlen(JOURNAL)).toBe(5);
  await client.config('SET', 'maxmemory', '0');
  await remove(pod, [places[2]]);
  expect(shape(start, await readAll(pod.journal, start))).toEqual([1, 2, -3, 4, 5]);
});

test('deletions of entries that are no longer kept are dropped from Redis by later ones', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await JournalPod.start(cleanup, { url: redis.url, maxlen: 100 });
  for (let round = 1; round <= 60; round++) {
    const places = await pod.journal.append(messages(50));
    await delivered(pod, 50 * round);
    await remove(pod, places.slice(-10));
  }
  expect(await redis.client(cleanup).xlen(DELETIONS)).toBeLessThan(400);
});

function status(service: string): FeedMessage {
  return { event: 'status_update', json: `{"service":"${service}"}`, service };
}

test('the newest status of a service is forgotten in Redis with its entry, and another one is not', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await JournalPod.start(cleanup, { url: redis.url });
  const [old, newest, other] = await pod.journal.append([status('a'), status('a'), status('b')]);
  await delivered(pod, 3);
  const services = async (): Promise<string[]> =>
    Object.keys(await redis.client(cleanup).hgetall('{gateway}:statuses'));
  await remove(pod, [old]);
  expect(await services()).toEqual(['a', 'b']);
  await remove(pod, [newest]);
  expect(await services()).toEqual(['b']);
  expect(pod.deleted.map(({ service }) => service)).toEqual(['a', 'a']);
  await remove(pod, [other]);
  expect(await services()).toEqual([]);
});

test('an entry that somebody removed from the stream by hand is a loss that readers are notified of, and hides no other', async () => {
  const redis = await RedisServer.start(cleanup);
  const pod = await JournalPod.start(cleanup, { url: redis.url });
  const start = placeOf(pod.journal.head());
  await pod.journal.append(messages(10));
  await delivered(pod, 10);
  await redis.client(cleanup).xdel(JOURNAL, `${nth(start, 5).seq}-0`);
  const fresh = await JournalPod.start(cleanup, { url: redis.url });
  await fresh.journal.append(messages(2, 11));
  await delivered(fresh, 2);
  for (const seq of [...range(0, 3), ...range(5, 12)]) {
    const read = await readAll(fresh.journal, nth(start, seq));
    expect(counted(start, read)).toEqual(range(seq + 1, 12).filter((one) => one !== 5));
  }
  expect(await fresh.journal.delete(nth(start, 5), 'wrong')).toEqual({ outcome: 'missing' });
  // The pod that has it can delete it for others that do.
  expect(await pod.journal.delete(nth(start, 5), 'wrong')).toMatchObject({ outcome: 'deleted' });
});
