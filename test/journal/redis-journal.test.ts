import { afterEach, describe, expect, test } from 'vitest';
import { formatOffset, isHole } from '../../src/contract/offset.js';
import { AppendError, type JournalEntry } from '../../src/journal/journal.js';
import { type NamedMessage, type SourceFence, type SourceResult, bridgedId } from '../../src/journal/redis-appender.js';
import {
  appendAll,
  counted,
  delivered,
  journalContract,
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

journalContract('the one in Redis', async (cleanup, maxlen) => {
  const redis = await RedisServer.start(cleanup);
  return JournalPod.start(cleanup, { url: redis.url, maxlen });
});

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];

/** Entries as offset and price, which is all that two pods have to agree on. */
function named(entries: readonly JournalEntry[]): string[] {
  return entries.map((entry) => `${formatOffset(entry)} ${priceOf(entry)}`);
}

/** Messages as the bridge names them. */
function bridged(prices: readonly number[]): NamedMessage[] {
  return prices.map((price) => ({ id: bridgedId(), message: message(price) }));
}

/** Numbers of entries before which some are missing, as whoever reads them in order finds out. */
function holes(entries: readonly JournalEntry[]): number[] {
  return entries.filter((entry, i) => i > 0 && isHole(entries[i - 1] ?? entry, entry)).map(({ seq }) => seq);
}

/** Whether numbers only grow, over all epochs. */
function expectNumbersGrow({ entries }: JournalPod): void {
  const numbers = entries.map(({ seq }) => seq);
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
}

/** Whether no offset names two entries in what pods were given. */
function expectOneEntryAnOffset(...pods: readonly JournalPod[]): void {
  const prices = new Map<string, number>();
  const two: string[] = [];
  for (const entry of pods.flatMap(({ entries }) => entries)) {
    const offset = formatOffset(entry);
    if ((prices.get(offset) ?? priceOf(entry)) !== priceOf(entry)) two.push(offset);
    prices.set(offset, priceOf(entry));
  }
  expect(two).toEqual([]);
}

describe('two pods', () => {
  test('agree on every entry and its place while both append', async () => {
    const { url } = await RedisServer.start(cleanup);
    const [one, two] = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url })));
    if (one === undefined || two === undefined) throw new Error('unreachable');
    const start = placeOf(one.journal.head());
    await Promise.all(
      range(1, 100).flatMap((n) => [one.journal.append(messages(3, n * 10)), two.journal.append(messages(2, -n * 10))]),
    );
    await Promise.all([delivered(one, 500), delivered(two, 500)]);
    expect(named(two.entries)).toEqual(named(one.entries));
    expect(counted(start, one.entries)).toEqual(range(1, 500));
  });

  test('give a client of the one what it missed from the other, though that came later', async () => {
    const { url } = await RedisServer.start(cleanup);
    const one = await JournalPod.start(cleanup, { url });
    const start = placeOf(one.journal.head());
    await appendAll(one.journal, messages(6000));
    // It fetches no more than the newest 5,000 when it starts; the others come from Redis.
    const late = await JournalPod.start(cleanup, { url });
    for (const n of [0, 1, 999, 1000, 1001, 5999, 6000]) {
      expect(await late.journal.resolve(nth(start, n))).toEqual({ ok: true });
      expect((await readAll(late.journal, nth(start, n))).map(priceOf)).toEqual(range(n + 1, 6000));
    }
    for (const limit of [1, 10, 200]) expect(await late.journal.read(start, limit)).toHaveLength(limit);
    for (const count of [0, 4999, 5000, 5001, 6000]) {
      expect(placeOf(await late.journal.back(count))).toEqual(nth(start, 6000 - count));
    }
    for (const count of [6001, Infinity]) expect(placeOf(await late.journal.back(count))).toEqual(start);
    expect(late.entries).toEqual([]);
  });

  test('resolve an offset that the other has seen and this one has not, once its reader gets there', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const fast = await JournalPod.start(cleanup, { url: redis.url });
    const held = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    await fast.journal.append(messages(10));
    await delivered(held, 10);
    forwarder.hold();
    const ahead = (await fast.journal.append(messages(200, 11))).at(-1) ?? fast.journal.head();
    await delivered(fast, 210);
    let resolved = false;
    const resolution = held.journal.resolve(ahead).finally(() => (resolved = true));
    // A round trip to Redis: were it not waiting, it would have an answer by now.
    await held.commands.ping();
    expect(resolved).toBe(false);
    expect(held.entries).toHaveLength(10);
    forwarder.release();
    expect(await resolution).toEqual({ ok: true });
    expect(await held.journal.read(ahead, 10)).toEqual([]);
    expect(held.entries.map(priceOf)).toEqual(range(1, 210));
  });

  test('resolve an offset of a new epoch that this one has not read yet', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const held = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    await held.journal.append(messages(10));
    await delivered(held, 10);
    forwarder.hold();
    await redis.client(cleanup).flushall();
    const fast = await JournalPod.start(cleanup, { url: redis.url });
    const start = placeOf(fast.journal.head());
    await fast.journal.append(messages(5, 11));
    await delivered(fast, 5);
    const resolutions = [start, fast.journal.head()].map((place) => held.journal.resolve(place));
    forwarder.release();
    expect(await Promise.all(resolutions)).toEqual([{ ok: true }, { ok: true }]);
    expect((await readAll(held.journal, start)).map(priceOf)).toEqual(range(11, 15));
    expect(held.entries.map(priceOf)).toEqual(range(1, 15));
    expectOneEntryAnOffset(held, fast);
  });
});

describe('scripts', () => {
  test('go on after Redis has forgotten them, and append once', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    const admin = redis.client(cleanup);
    const start = placeOf(pod.journal.head());
    for (const n of range(1, 5)) {
      await pod.journal.append([message(n)]);
      await admin.script('FLUSH');
    }
    await delivered(pod, 5);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 5));
    expect(counted(start, pod.entries)).toEqual(range(1, 5));
    await admin.script('FLUSH');
    expect(await pod.journal.lease.ask({ token: 'token', ttlMs: 3000, mayTakeOver: true, claims: false })).toBe(
      'acquired',
    );
  });
});

async function openOne(): Promise<{ pod: JournalPod; redis: RedisServer }> {
  const redis = await RedisServer.start(cleanup);
  return { redis, pod: await JournalPod.start(cleanup, { url: redis.url }) };
}

/** An append from the stream `orders` under the token `mine`. */
function from(expected: string, place: string): SourceFence {
  return { token: 'mine', stream: 'orders', expected, place };
}

describe('an append from a source stream', () => {
  test('is carried out once, from the place that the stream was read to, and moves that place', async () => {
    const { pod } = await openOne();
    await pod.journal.lease.ask({ token: 'mine', ttlMs: 10_000, mayTakeOver: true, claims: false });
    expect(await pod.journal.sourcePlace('orders')).toBe('');
    const first = (): Promise<SourceResult> => pod.journal.appendSourced(bridged([1, 2]), from('', '2-0 2'));
    expect(await first()).toEqual({ outcome: 'appended' });
    // As after an answer that was lost.
    expect(await first()).toEqual({ outcome: 'appended' });
    expect(await pod.journal.appendSourced(bridged([3]), from('1-0 1', '3-0 3'))).toEqual({
      outcome: 'moved',
      place: '2-0 2',
    });
    expect(await pod.journal.appendSourced([], from('2-0 2', '4-0 4'))).toEqual({ outcome: 'appended' });
    expect(await pod.journal.sourcePlace('orders')).toBe('4-0 4');
    expect(await pod.journal.appendSourced(bridged([5]), from('4-0 4', '5-0 5'))).toEqual({ outcome: 'appended' });
    // The batches of the bridge under the same token are counted on their own.
    expect(await pod.journal.appendFenced(bridged([6]), { token: 'mine', batch: 1 })).toBe('appended');
    await delivered(pod, 4);
    expect(pod.entries.map(priceOf)).toEqual([1, 2, 5, 6]);
  });

  test('is refused without the lease, and moves nothing', async () => {
    const { pod } = await openOne();
    expect(await pod.journal.appendSourced(bridged([1]), from('', '1-0 1'))).toEqual({ outcome: 'fenced' });
    expect(await pod.journal.sourcePlace('orders')).toBe('');
  });

  test('is carried out where the key of the places holds something else, which is set aside', async () => {
    const { pod, redis } = await openOne();
    await pod.journal.lease.ask({ token: 'mine', ttlMs: 10_000, mayTakeOver: true, claims: false });
    const admin = redis.client(cleanup);
    await admin.set('{gateway}:sources', 'not a hash');
    expect(await pod.journal.appendSourced(bridged([1]), from('', '1-0 1'))).toEqual({ outcome: 'appended' });
    expect(await admin.xlen('{gateway}:journal')).toBe(1);
    expect(await pod.journal.sourcePlace('orders')).toBe('1-0 1');
  });
});

describe('a fenced append', () => {
  test('is carried out for the holder of the lease', async () => {
    const { pod } = await openOne();
    await pod.journal.lease.ask({ token: 'mine', ttlMs: 10_000, mayTakeOver: true, claims: false });
    expect(await pod.journal.appendFenced(bridged([1, 2]), { token: 'mine', batch: 1 })).toBe('appended');
    await delivered(pod, 2);
    expect(pod.entries.map(priceOf)).toEqual([1, 2]);
  });

  test('is refused when another has taken the lease over, and when nobody holds it', async () => {
    const { pod } = await openOne();
    const stale = { token: 'stale', batch: 1 };
    expect(await pod.journal.appendFenced(bridged([1]), stale)).toBe('fenced');
    await pod.journal.lease.ask({ token: 'stale', ttlMs: 10_000, mayTakeOver: true, claims: false });
    await pod.journal.lease.release('stale', true);
    expect(await pod.journal.lease.ask({ token: 'new', ttlMs: 10_000, mayTakeOver: false, claims: false })).toBe(
      'handed-over',
    );
    expect(await pod.journal.appendFenced(bridged([2]), stale)).toBe('fenced');
    expect(await pod.journal.appendFenced(bridged([3]), { token: 'new', batch: 1 })).toBe('appended');
    await delivered(pod, 1);
    expect(pod.entries.map(priceOf)).toEqual([3]);
  });

  test('is carried out once however often the same batch is sent', async () => {
    const { pod, redis } = await openOne();
    await pod.journal.lease.ask({ token: 'mine', ttlMs: 10_000, mayTakeOver: true, claims: false });
    const batch = bridged([1, 2, 3]);
    const answers = await Promise.all(
      range(1, 5).map(() => pod.journal.appendFenced(batch, { token: 'mine', batch: 1 })),
    );
    expect(answers).toEqual(range(1, 5).map(() => 'appended'));
    expect(await pod.journal.appendFenced(bridged([4]), { token: 'mine', batch: 2 })).toBe('appended');
    expect(await pod.journal.appendFenced(batch, { token: 'mine', batch: 1 })).toBe('appended');
    await delivered(pod, 4);
    expect(pod.entries.map(priceOf)).toEqual([1, 2, 3, 4]);
    expect(await redis.client(cleanup).xlen('{gateway}:journal')).toBe(4);
  });

  test('counts the batches of each holder on their own', async () => {
    const { pod } = await openOne();
    await pod.journal.lease.ask({ token: 'first', ttlMs: 10_000, mayTakeOver: true, claims: false });
    await pod.journal.appendFenced(bridged([1]), { token: 'first', batch: 7 });
    await pod.journal.lease.release('first', true);
    await pod.journal.lease.ask({ token: 'second', ttlMs: 10_000, mayTakeOver: true, claims: false });
    expect(await pod.journal.appendFenced(bridged([2]), { token: 'second', batch: 1 })).toBe('appended');
    await delivered(pod, 2);
    expect(pod.entries.map(priceOf)).toEqual([1, 2]);
  });
});

function ask(pod: JournalPod | undefined, token: string, claims: boolean, mayTakeOver = false): unknown {
  return pod?.journal.lease.ask({ token, ttlMs: 10_000, mayTakeOver, claims });
}

describe('the lease', () => {
  test('has one holder, who keeps it; a pod that is new waits for it unless it was released with nothing left', async () => {
    const redis = await RedisServer.start(cleanup);
    const { journal } = await JournalPod.start(cleanup, { url: redis.url });
    expect(await journal.lease.ask({ token: 'a', ttlMs: 10_000, mayTakeOver: false, claims: false })).toBe('acquired');
    expect(await journal.lease.ask({ token: 'a', ttlMs: 10_000, mayTakeOver: false, claims: false })).toBe('held');
    expect(await journal.lease.ask({ token: 'b', ttlMs: 10_000, mayTakeOver: true, claims: false })).toBe('other');
    await journal.lease.release('b', true);
    expect(await journal.lease.ask({ token: 'a', ttlMs: 10_000, mayTakeOver: false, claims: false })).toBe('held');
    await journal.lease.release('a', false);
    expect(await journal.lease.ask({ token: 'b', ttlMs: 10_000, mayTakeOver: false, claims: false })).toBe('wait');
    expect(await journal.lease.ask({ token: 'c', ttlMs: 10_000, mayTakeOver: true, claims: false })).toBe('acquired');
    await journal.lease.release('c', true);
    expect(await journal.lease.ask({ token: 'b', ttlMs: 10_000, mayTakeOver: false, claims: false })).toBe(
      'handed-over',
    );
  });

  test('is free again if its holder has been silent for the time to live', async () => {
    const redis = await RedisServer.start(cleanup);
    const { journal } = await JournalPod.start(cleanup, { url: redis.url });
    await journal.lease.ask({ token: 'a', ttlMs: 200, mayTakeOver: true, claims: false });
    await until(
      'the lease to be free',
      async () =>
        (await journal.lease.ask({ token: 'b', ttlMs: 10_000, mayTakeOver: true, claims: false })) === 'acquired',
    );
    expect(await journal.appendFenced(bridged([1]), { token: 'a', batch: 1 })).toBe('fenced');
  });

  test('goes to the pod that claims it, once its holder has let it go, and to nobody else', async () => {
    const redis = await RedisServer.start(cleanup);
    const [first, second, third] = await Promise.all(
      range(1, 3).map(() => JournalPod.start(cleanup, { url: redis.url })),
    );
    expect(await ask(first, 'a', false)).toBe('acquired');
    expect(await ask(second, 'b', true)).toBe('other');
    expect(await ask(third, 'c', true)).toBe('other');
    expect(await ask(first, 'a', false)).toBe('yield');
    await first?.journal.lease.release('a', false);
    expect(await ask(third, 'c', false, true)).toBe('wait');
    expect(await ask(first, 'a', false, true)).toBe('wait');
    expect(await ask(second, 'b', false)).toBe('acquired');
    expect(await ask(second, 'b', false)).toBe('held');
  });

  test('is free for everybody when Redis itself was restarted meanwhile', async () => {
    const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes']);
    const { journal } = await JournalPod.start(cleanup, { url: redis.url });
    expect(await journal.lease.ask({ token: 'a', ttlMs: 100, mayTakeOver: false, claims: false })).toBe('acquired');
    await redis.restart();
    await until('the lease to be had', async () => {
      const answer = await journal.lease.ask({ token: 'b', ttlMs: 10_000, mayTakeOver: false, claims: false });
      if (answer === 'wait') throw new Error('the lease was kept for pods that have been there longer');
      return answer === 'acquired';
    });
  });
});

describe('Redis away', () => {
  test('an append that has no answer in time fails, and is never carried out', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    await pod.journal.lease.ask({ token: 'mine', ttlMs: 60_000, mayTakeOver: true, claims: false });
    await pod.journal.append([message(1)]);
    await redis.kill('SIGSTOP');
    const refused = await Promise.allSettled([
      pod.journal.append([message(666)]),
      pod.journal.append(messages(3, 667)),
      pod.journal.appendFenced(bridged([670]), { token: 'mine', batch: 1 }),
    ]);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await redis.kill('SIGCONT');
    await pod.linked();
    await pod.journal.append([message(2)]);
    await until('the entry after', () => pod.entries.some((entry) => priceOf(entry) === 2), { seen: () => pod });
    expect(pod.entries.map(priceOf)).toEqual([1, 2]);
    expect(await redis.client(cleanup).xlen('{gateway}:journal')).toBe(2);
  });

  test('not even the first append of a pod is carried out after it has failed', async () => {
    const redis = await RedisServer.start(cleanup);
    // Another pod, so that Redis knows the script and would carry it out at the first try.
    const other = await JournalPod.start(cleanup, { url: redis.url });
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    await other.journal.append([message(1)]);
    await redis.kill('SIGSTOP');
    await expect(pod.journal.append([message(666)])).rejects.toThrow(AppendError);
    await redis.kill('SIGCONT');
    await pod.linked();
    await pod.journal.append([message(2)]);
    await until('the entry after', () => pod.entries.some((entry) => priceOf(entry) === 2), { seen: () => pod });
    expect(pod.entries.map(priceOf)).toEqual([1, 2]);
  });

  test('an append fails at once while the link is down', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    await redis.kill();
    await until('the link to be down', () => !pod.up);
    const began = Date.now();
    await expect(pod.journal.append([message(666)])).rejects.toThrow(AppendError);
    expect(Date.now() - began).toBeLessThan(1000);
    await redis.restart();
    await pod.linked();
    await pod.journal.append([message(1)]);
    await delivered(pod, 1);
    expect(pod.entries.map(priceOf)).toEqual([1]);
  });
});

describe('Redis restarted', () => {
  test('with its append-only file: each time a new epoch, nothing is lost, nothing arrives twice, and nobody is told', async () => {
    const redis = await RedisServer.start(cleanup, DURABLE);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    const start = placeOf(pod.journal.head());
    let price = 0;
    for (const restart of [1, 2]) {
      await appendAll(pod.journal, messages(100, price + 1), 10);
      price += 100;
      // Killed before the reader can be known to have everything.
      await redis.restart();
      await pod.linked();
      await pod.journal.append([message(++price)]);
      await delivered(pod, restart * 101);
    }
    expect(new Set(pod.entries.map(({ epoch }) => epoch)).size).toBe(3);
    expectNumbersGrow(pod);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 202));
    expect(pod.gaps).toEqual([]);
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    for (const one of [pod, fresh]) {
      expect(await one.journal.resolve(start)).toEqual({ ok: true });
      const read = await readAll(one.journal, start);
      expect(read.map(priceOf)).toEqual(range(1, 202));
      expect(holes(read)).toEqual([]);
    }
  });

  test('empty: there is a new epoch, a living pod loses nothing and delivers what is new', async () => {
    const redis = await RedisServer.start(cleanup);
    const [pod, other] = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url: redis.url })));
    if (pod === undefined || other === undefined) throw new Error('unreachable');
    const start = placeOf(pod.journal.head());
    await pod.journal.append(messages(100));
    await Promise.all([delivered(pod, 100), delivered(other, 100)]);
    await redis.restart();
    await Promise.all([pod.linked(), other.linked()]);
    await other.journal.append(messages(50, 101));
    await Promise.all([delivered(pod, 150), delivered(other, 150)]);

    expect(named(other.entries)).toEqual(named(pod.entries));
    expect(pod.entries.map(priceOf)).toEqual(range(1, 150));
    const epochs = new Set(pod.entries.map((entry) => entry.epoch));
    expect(epochs.size).toBe(2);
    expect(pod.gaps).toEqual([]);
    // A client of the old epoch that comes to a living pod has its whole way.
    expect(await pod.journal.resolve(nth(start, 40))).toEqual({ ok: true });
    const read = await readAll(pod.journal, nth(start, 40));
    expect(read.map(priceOf)).toEqual(range(41, 150));
    expect(holes(read)).toEqual([]);
    expectNumbersGrow(pod);
    // To a fresh one it can not be told what it missed.
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    expect(await fresh.journal.resolve(nth(start, 40))).toEqual({ ok: false, reason: 'epoch' });
    const [first] = pod.entries.slice(100);
    if (first === undefined) throw new Error('unreachable');
    expect((await readAll(fresh.journal, placeOf(first))).map(priceOf)).toEqual(range(102, 150));
  });

  test('empty, and the pod that comes first had read less than another: it is told what it missed, the other has it all', async () => {
    const redis = await RedisServer.start(cleanup);
    const [toAhead, toBehind] = await Promise.all([1, 2].map(() => TcpForwarder.open(cleanup, redis.port)));
    if (toAhead === undefined || toBehind === undefined) throw new Error('unreachable');
    const ahead = await JournalPod.start(cleanup, { url: redis.url, readerUrl: toAhead.url });
    const behind = await JournalPod.start(cleanup, { url: redis.url, readerUrl: toBehind.url });
    await ahead.journal.append(messages(100));
    await Promise.all([delivered(ahead, 100), delivered(behind, 100)]);
    const place = placeOf(behind.journal.head());
    toBehind.leadTo(0);
    await until('the reader to be cut off', () => !behind.up);
    await ahead.journal.append(messages(20, 101));
    await delivered(ahead, 120);
    toAhead.leadTo(0);
    await until('the other reader to be cut off', () => !ahead.up);
    await redis.restart();
    toBehind.leadTo(redis.port);
    await behind.linked();
    toAhead.leadTo(redis.port);
    await ahead.linked();
    await behind.journal.append(messages(10, 121));
    await Promise.all([delivered(ahead, 130), delivered(behind, 110)]);
    expect(ahead.entries.map(priceOf)).toEqual(range(1, 130));
    expect(ahead.gaps).toEqual([]);
    expect(behind.entries.map(priceOf)).toEqual([...range(1, 100), ...range(121, 130)]);
    const first = placeOf(behind.entries[100] ?? place);
    expect(behind.gaps).toEqual([{ reason: 'epoch', requested: place, resumed: nth(first, -1) }]);
    expect(named(behind.entries.slice(100))).toEqual(named(ahead.entries.slice(120)));
    expectOneEntryAnOffset(ahead, behind);
  });

  test('from an older snapshot: the lost tail is noticed, and its offsets name nothing else', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    const start = placeOf(pod.journal.head());
    await pod.journal.append(messages(100));
    await redis.client(cleanup).save();
    await pod.journal.append(messages(30, 101));
    await delivered(pod, 130);
    const lost = placeOf(pod.journal.head());
    await redis.restart();
    await pod.linked();
    await pod.journal.append(messages(40, 131));
    await delivered(pod, 170);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 170));
    expect(pod.gaps).toEqual([]);
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    expect(await fresh.journal.resolve(lost)).toEqual({ ok: false, reason: 'epoch' });
    const read = await readAll(fresh.journal, start);
    expect(read.map(priceOf)).toEqual([...range(1, 100), ...range(131, 170)]);
    // Whoever has not had the lost tail is told.
    expect(holes(read)).toEqual([read[100]?.seq]);
  });

  test('from an older snapshot: what is appended before the reader is back takes no offset of the lost tail', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const pod = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    await pod.journal.append(messages(100));
    await redis.client(cleanup).save();
    await pod.journal.append(messages(30, 101));
    await delivered(pod, 130);
    const { epoch } = pod.journal.head();
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !pod.up);
    await redis.restart();
    await until('commands to be taken', async () => (await pod.commands.ping()) === 'PONG');
    const places = await pod.journal.append(messages(10, 131));
    expect(places.every((place) => place.epoch !== epoch)).toBe(true);
    forwarder.leadTo(redis.port);
    await pod.linked();
    await pod.journal.append(messages(10, 141));
    await delivered(pod, 150);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 150));
    expect(pod.entries.slice(130, 140).map(placeOf)).toEqual(places);
    expect(pod.gaps).toEqual([]);
    expectOneEntryAnOffset(pod);
  });

  test('from an older snapshot, with a fresh pod that appends first: three pods agree on every offset, and a client of the lost tail is told', async () => {
    const redis = await RedisServer.start(cleanup);
    const entrance = await TcpForwarder.open(cleanup, redis.port);
    const [pod, other] = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url: entrance.url })));
    if (pod === undefined || other === undefined) throw new Error('unreachable');
    const start = placeOf(pod.journal.head());
    await pod.journal.append(messages(100));
    await redis.client(cleanup).save();
    await pod.journal.append(messages(30, 101));
    await Promise.all([delivered(pod, 130), delivered(other, 130)]);
    entrance.leadTo(0);
    await until('the pods to be cut off', () => !pod.up && !other.up);
    await redis.restart();

    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    await fresh.journal.append(messages(10, 131));
    await delivered(fresh, 10);
    // Who had seen no more than what is left misses nothing; who had seen more is told.
    expect(await fresh.journal.resolve(nth(start, 100))).toEqual({ ok: true });
    expect((await readAll(fresh.journal, nth(start, 100))).map(priceOf)).toEqual(range(131, 140));
    for (const n of [101, 105, 130]) {
      expect(await fresh.journal.resolve(nth(start, n))).toEqual({ ok: false, reason: 'epoch' });
    }

    entrance.leadTo(redis.port);
    await Promise.all([pod.linked(), other.linked()]);
    await other.journal.append(messages(10, 141));
    await Promise.all([delivered(pod, 150), delivered(other, 150), delivered(fresh, 20)]);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 150));
    expect(named(other.entries)).toEqual(named(pod.entries));
    expect(named(fresh.entries)).toEqual(named(pod.entries.slice(130)));
    // Clients of the fresh pod may have missed the lost tail; those of the others have it.
    const place = placeOf(fresh.entries[9] ?? fresh.journal.head());
    const after = placeOf(fresh.entries[10] ?? place);
    expect(fresh.gaps).toEqual([{ reason: 'epoch', requested: place, resumed: nth(after, -1) }]);
    expect([pod.gaps, other.gaps]).toEqual([[], []]);
    for (const one of [pod, other, fresh]) {
      for (const entry of fresh.entries) expect(await one.journal.resolve(placeOf(entry))).toEqual({ ok: true });
    }
    expectOneEntryAnOffset(pod, other, fresh);
  });

  test('a FLUSHALL is noticed while the link is up', async () => {
    const redis = await RedisServer.start(cleanup);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    const { epoch } = pod.journal.head();
    await pod.journal.append(messages(10));
    await delivered(pod, 10);
    await redis.client(cleanup).flushall();
    await pod.journal.append(messages(5, 11));
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    await fresh.journal.append(messages(5, 16));
    await delivered(pod, 20);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 20));
    expect(pod.entries.at(-1)?.epoch).not.toBe(epoch);
    expect(named(fresh.entries)).toEqual(named(pod.entries.slice(15)));
    expect(pod.up).toBe(true);
    expect(pod.gaps).toEqual([]);
  });

  test('empty, and a fresh pod comes first: nobody knows what was lost, so the clients of every other pod are told', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const pod = await JournalPod.start(cleanup, { url: redis.url, readerUrl: forwarder.url });
    await pod.journal.append(messages(10));
    await delivered(pod, 10);
    const place = placeOf(pod.journal.head());
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !pod.up);
    // Another pod had these, and has gone down with Redis.
    await pod.journal.append(messages(5, 11));
    await redis.restart();
    const fresh = await JournalPod.start(cleanup, { url: redis.url });
    await fresh.journal.append(messages(5, 16));
    forwarder.leadTo(redis.port);
    await delivered(pod, 15);
    expect(pod.entries.map(priceOf)).toEqual([...range(1, 10), ...range(16, 20)]);
    const first = placeOf(pod.entries[10] ?? place);
    expect(pod.gaps).toEqual([{ reason: 'epoch', requested: place, resumed: nth(first, -1) }]);
    expect(fresh.gaps).toEqual([]);
    // A client that stays away until then is told by the entry itself.
    expect(holes(await readAll(pod.journal, nth(place, -5)))).toEqual([first.seq]);
    expectNumbersGrow(pod);
    expectOneEntryAnOffset(pod, fresh);
  });
});

describe('a reader that is late', () => {
  test('is notified of what was trimmed before it arrived, and continues', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const options = { url: redis.url, maxlen: 100 };
    const writer = await JournalPod.start(cleanup, options);
    const late = await JournalPod.start(cleanup, { ...options, readerUrl: forwarder.url });
    await writer.journal.append(messages(10));
    await delivered(late, 10);
    const before = placeOf(late.journal.head());
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !late.up);
    await appendAll(writer.journal, messages(2000, 11), 100);
    forwarder.leadTo(redis.port);
    await late.linked();
    await writer.journal.append([message(2011)]);
    await until('the newest entry', () => late.entries.some((entry) => priceOf(entry) === 2011), { seen: () => late });

    const got = counted(nth(before, -10), late.entries);
    const resumed = got[10] ?? 0;
    expect(resumed).toBeGreaterThan(1000);
    expect(got).toEqual([...range(1, 10), ...range(resumed, 2011)]);
    expect(late.gaps).toEqual([{ reason: 'expired', requested: before, resumed: nth(before, resumed - 11) }]);
    // A client that was where the reader had been is told too.
    expect(await late.journal.resolve(before)).toEqual({ ok: false, reason: 'expired' });
  });

  test('is notified of what was trimmed even if a new epoch has begun since', async () => {
    const redis = await RedisServer.start(cleanup);
    const forwarder = await TcpForwarder.open(cleanup, redis.port);
    const options = { url: redis.url, maxlen: 100 };
    const late = await JournalPod.start(cleanup, { ...options, readerUrl: forwarder.url });
    await late.journal.append(messages(10));
    await delivered(late, 10);
    forwarder.leadTo(0);
    await until('the reader to be cut off', () => !late.up);
    await redis.client(cleanup).flushall();
    const writer = await JournalPod.start(cleanup, options);
    await appendAll(writer.journal, messages(2000, 11), 100);
    forwarder.leadTo(redis.port);
    await late.linked();
    await writer.journal.append([message(2011)]);
    await until('the newest entry', () => late.entries.some((entry) => priceOf(entry) === 2011), { seen: () => late });

    const got = late.entries.map(priceOf);
    const resumed = got[10] ?? 0;
    expect(resumed).toBeGreaterThan(1000);
    expect(got).toEqual([...range(1, 10), ...range(resumed, 2011)]);
    expect(late.gaps).toHaveLength(1);
    const [first] = late.entries.slice(10);
    expect(late.gaps[0]?.resumed).toEqual({ epoch: first?.epoch, seq: (first?.seq ?? 0) - 1 });
  });
});

test('a reader that gets no answer, whatever it has asked, opens a new link and continues', async () => {
  const redis = await RedisServer.start(cleanup);
  const gate = await RedisGate.open(cleanup, redis.port);
  const pod = await JournalPod.start(cleanup, { url: redis.url, readerUrl: gate.url });
  await pod.journal.append(messages(3));
  await delivered(pod, 3);
  // Asked while nothing comes, between two waiting reads.
  const isHeld = gate.holdAt(':reader', 'hmget');
  await until('the reader to wait for an answer', isHeld);
  await pod.journal.append(messages(3, 4));
  await until('what was appended meanwhile', () => pod.entries.length === 6, { limit: 30_000, seen: () => pod });
  expect(pod.entries.map(priceOf)).toEqual(range(1, 6));
  expect(pod.gaps).toEqual([]);
}, 60_000);

describe('a replica promoted without the newest 50 entries', () => {
  test('starts a new epoch on every pod; nothing appended afterwards is skipped, no old offset names it', async () => {
    const master = await RedisServer.start(cleanup, ['--repl-diskless-sync-delay', '0']);
    const toMaster = await TcpForwarder.open(cleanup, master.port);
    const replica = await RedisServer.start(cleanup, ['--replicaof', `${HOST} ${toMaster.port}`]);
    const entrance = await TcpForwarder.open(cleanup, master.port);
    const onReplica = replica.client(cleanup);
    await until(
      'the replica to follow',
      async () => (await onReplica.info('replication')).includes('master_link_status:up'),
      { limit: 30_000 },
    );
    const [pod, other] = await Promise.all([1, 2].map(() => JournalPod.start(cleanup, { url: entrance.url })));
    if (pod === undefined || other === undefined) throw new Error('unreachable');
    const start = placeOf(pod.journal.head());
    const { epoch } = start;
    await pod.journal.append(messages(100));
    await until('the replica to have 100 entries', async () => (await onReplica.xlen('{gateway}:journal')) === 100);

    // Nothing reaches the replica any more: what is on its way to a stopped process would still be read by it later.
    toMaster.hold();
    await replica.kill('SIGSTOP');
    await pod.journal.append(messages(50, 101));
    await Promise.all([delivered(pod, 150), delivered(other, 150)]);
    await master.kill();
    toMaster.cut();
    await replica.kill('SIGCONT');
    await onReplica.replicaof('NO', 'ONE');
    expect(await onReplica.xlen('{gateway}:journal')).toBe(100);
    entrance.leadTo(replica.port);
    await Promise.all([pod.linked(), other.linked()]);

    await other.journal.append(messages(30, 151));
    await pod.journal.append(messages(30, 181));
    await Promise.all([delivered(pod, 210), delivered(other, 210)]);
    expect(pod.entries.map(priceOf)).toEqual(range(1, 210));
    expect(named(other.entries)).toEqual(named(pod.entries));
    expect(pod.gaps).toEqual([]);
    const after = pod.entries.slice(150);
    expect(new Set(pod.entries.map((entry) => entry.epoch)).size).toBe(2);
    expect(after.every((entry) => entry.epoch !== epoch)).toBe(true);

    // A pod that has seen nothing of it agrees: the same entries have the same offsets.
    const fresh = await JournalPod.start(cleanup, { url: entrance.url });
    const seen = await readAll(fresh.journal, start);
    expect(named(seen)).toEqual(named([...pod.entries.slice(0, 100), ...after]));
    expect(holes(seen)).toEqual([after[0]?.seq]);
    for (const n of [101, 125, 150]) {
      expect(await fresh.journal.resolve(nth(start, n))).toEqual({ ok: false, reason: 'epoch' });
      // A living pod still has what was lost, and what came after it.
      expect(await pod.journal.resolve(nth(start, n))).toEqual({ ok: true });
      const read = await readAll(pod.journal, nth(start, n));
      expect(read.map(priceOf)).toEqual(range(n + 1, 210));
      expect(holes(read)).toEqual([]);
    }
    for (const entry of after) {
      for (const one of [pod, other, fresh]) expect(await one.journal.resolve(placeOf(entry))).toEqual({ ok: true });
    }
    await fresh.journal.append([message(211)]);
    await Promise.all([delivered(pod, 211), delivered(other, 211), delivered(fresh, 1)]);
    expectOneEntryAnOffset(pod, other, fresh);
  });
});

test('a pod whose listener has no room reads nothing, and then each entry once, though its link broke meanwhile', async () => {
  const redis = await RedisServer.start(cleanup);
  const other = await JournalPod.start(cleanup, { url: redis.url });
  let isFull = true;
  const waiting: (() => void)[] = [];
  const room = (): Promise<void> | undefined => (isFull ? new Promise((resolve) => waiting.push(resolve)) : undefined);
  const pod = await JournalPod.start(cleanup, { url: redis.url, room });
  await appendAll(other.journal, messages(2500));
  await delivered(other, 2500);
  const asked = waiting.length;
  await redis.client(cleanup).call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await until('a new session to wait too', () => waiting.length > asked);
  expect(pod.entries.length).toBeLessThanOrEqual(1000);
  isFull = false;
  for (const resolve of waiting) resolve();
  await delivered(pod, 2500);
  expect(pod.entries.map(priceOf)).toEqual(range(1, 2500));
  expect(pod.gaps).toEqual([]);
});
