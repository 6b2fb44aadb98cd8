import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { SourceReader } from '../support/source-reader.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

interface Parts {
  readonly redis: RedisServer;
  readonly admin: Redis;
  readonly reader: SourceReader;
}

async function open(): Promise<Parts> {
  const redis = await RedisServer.start(cleanup);
  return { redis, admin: redis.client(cleanup), reader: await SourceReader.start(cleanup, redis) };
}

/** Adds signals to the stream. @returns the id of the last one */
async function add(admin: Redis, prices: readonly number[], idOf = (_price: number): string => '*'): Promise<string> {
  let last = '';
  for (const price of prices)
    last = (await admin.xadd('signals', idOf(price), 'json', JSON.stringify(signal(price)))) ?? '';
  return last;
}

describe('a source stream', () => {
  test('is carried into the journal once and in order: what was there before, what comes alone, and what comes at once', async () => {
    const { admin, reader } = await open();
    await add(admin, range(1, 20));
    await reader.take();
    await reader.has(20);
    for (const price of range(21, 25)) {
      await add(admin, [price]);
      await reader.has(price);
    }
    const pipeline = admin.pipeline();
    for (const price of range(26, 3000)) pipeline.xadd('signals', '*', 'json', JSON.stringify(signal(price)));
    await pipeline.exec();
    expect(await reader.has(3000)).toEqual(range(1, 3000));
    expect(reader.said.find(({ stream }) => stream === 'signals')).toMatchObject({ entries: 20 });
    expect(reader.warnings).toEqual([]);
    await until('all to be counted', () => reader.accepted === 3000);
    expect(await admin.xlen('signals')).toBe(3000);
  });

  test('is passed by invalid messages, which are rejected with their reason, also where there is nothing else', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, [1]);
    await admin.xadd('signals', '*', 'text', 'hello');
    await admin.xadd('signals', '*', 'json', '{');
    await admin.xadd('signals', '*', 'json', '{"signal":"HOLD"}');
    await admin.xadd('signals', '*', 'json', 'x'.repeat(20_000));
    await admin.xadd('signals', '*', 'json', Buffer.from([0xff, 0xfe]));
    await admin.xadd('signals', '*', 'json', JSON.stringify(signal(8)), 'json', JSON.stringify(signal(9)));
    await admin.xadd('signals', '*', 'note', 'other fields are ignored', 'json', JSON.stringify(signal(2)));
    const last = (await admin.xadd('signals', '*', 'json', '')) ?? '';
    expect(await reader.has(2)).toEqual([1, 2]);
    await reader.readTo(last);
    await until('seven rejections', () => reader.rejected.length >= 7);
    expect(reader.rejected.map(({ reason }) => reason)).toEqual([
      'shape',
      'not_json',
      'shape',
      'too_large',
      'encoding',
      'duplicate_field',
      'not_json',
    ]);
  });

  test('is read on by the next holder of the lease from where the one before came to', async () => {
    const { redis, admin, reader } = await open();
    const other = await SourceReader.start(cleanup, redis);
    await reader.take();
    await add(admin, range(1, 5));
    await reader.has(5);
    await reader.leave();
    await add(admin, range(6, 9));
    await other.take();
    expect(await other.has(9)).toEqual(range(1, 9));
    expect(other.warnings).toEqual([]);
    // The one before does not know yet that it has lost the lease to another.
    await add(admin, range(10, 12));
    expect(await other.has(12)).toEqual(range(1, 12));
    await until('all to be counted', () => reader.accepted + other.accepted === 12);
  });

  test('is not read past entries of 20 MB that others have put there, nor do they fill the memory of the pod', async () => {
    const { admin, reader } = await open();
    await add(admin, [1]);
    const large = Buffer.alloc(20 * 1024 * 1024, 'x');
    for (const field of ['blob', 'json', 'blob']) await admin.xadd('signals', '*', field, large);
    await add(admin, [2]);
    await reader.take();
    expect(await reader.has(2)).toEqual([1, 2]);
    // And while it waits.
    await admin.xadd('signals', '*', 'json', large);
    await add(admin, [3]);
    expect(await reader.has(3)).toEqual([1, 2, 3]);
    await until('four rejections', () => reader.rejected.length >= 4);
    expect(reader.rejected.map(({ reason }) => reason)).toEqual(['shape', 'too_large', 'shape', 'too_large']);
    expect(Math.max(...reader.rejected.map(({ bytes }) => bytes.byteLength))).toBeLessThanOrEqual(512);
  });
});

describe('what is taken out of a source stream', () => {
  test('before it was read is reported as lost, by count, once', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, range(1, 3));
    await reader.has(3);
    await reader.leave();
    await until('the reader to stop', async () => (await admin.client('LIST')) !== '');
    await add(admin, range(4, 13));
    await admin.xtrim('signals', 'MAXLEN', 3);
    await reader.take();
    expect(await reader.has(6)).toEqual([1, 2, 3, 11, 12, 13]);
    await until('the loss to be counted', () => reader.lost === 7);
    expect(reader.said.filter(({ entries }) => entries === 7)).toHaveLength(1);
    await add(admin, [14]);
    await reader.has(7);
    expect(reader.lost).toBe(7);
  });

  test('after it was read is no loss, by MAXLEN or by XDEL', async () => {
    const { admin, reader } = await open();
    await reader.take();
    for (const price of range(1, 30)) {
      const id = await admin.xadd('signals', 'MAXLEN', 2, '*', 'json', JSON.stringify(signal(price)));
      await reader.readTo(id ?? '');
      if (price % 3 === 0) await admin.xdel('signals', id ?? '');
    }
    expect(await reader.has(30)).toEqual(range(1, 30));
    expect(reader.lost).toBe(0);
    expect(reader.warnings).toEqual([]);
  });

  test('while nothing is left of it is reported as lost too', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, [1]);
    await reader.has(1);
    await reader.leave();
    await add(admin, range(2, 6));
    await admin.xtrim('signals', 'MAXLEN', 0);
    await reader.take();
    await until('the loss to be counted', () => reader.lost === 5);
    await add(admin, [7]);
    expect(await reader.has(2)).toEqual([1, 7]);
  });

  test('before anybody has read the stream for the first time is no loss', async () => {
    const { admin, reader } = await open();
    await add(admin, range(1, 10));
    await admin.xtrim('signals', 'MAXLEN', 4);
    await reader.take();
    expect(await reader.has(4)).toEqual(range(7, 10));
    expect(reader.lost).toBe(0);
  });
});

describe('a source stream that is deleted and begun again', () => {
  test('is read from its new start, also where its ids are lower', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, range(1, 10));
    await reader.has(10);
    await admin.del('signals');
    await add(admin, [11, 12], (price) => `${price}-1`);
    expect(await reader.has(12)).toEqual(range(1, 12));
    await add(admin, [13], (price) => `${price}-1`);
    expect(await reader.has(13)).toEqual(range(1, 13));
    expect(reader.warnings).toEqual([
      'a source stream was deleted and begun again; what was not read before that is lost',
    ]);
  });

  test('is read on where its ids go on', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, range(1, 10));
    await reader.has(10);
    await admin.del('signals');
    await add(admin, range(11, 13));
    expect(await reader.has(13)).toEqual(range(1, 13));
    await add(admin, [14]);
    expect(await reader.has(14)).toEqual(range(1, 14));
    expect(reader.lost).toBe(0);
  });

  test('is not read twice where a failover has only lost its newest entries', async () => {
    const { admin, reader } = await open();
    await reader.take();
    const now = Date.now();
    await add(admin, range(1, 10), (price) => `${now}-${price}`);
    await reader.has(10);
    // As on another node of a cluster: the stream has lost its tail, the journal has not.
    await admin.del('signals');
    await add(admin, range(1, 8), (price) => `${now}-${price}`);
    await reader.readTo(`${now}-8`);
    await add(admin, [11], () => `${now + 1}-0`);
    expect(await reader.has(11)).toEqual(range(1, 11));
    expect(reader.warnings).toEqual(['a source stream has gone back, as in a failover; going on after its end']);
  });
});

describe('a place that is lost', () => {
  test('is known to the pod that reads: nothing is appended twice', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, range(1, 10));
    await reader.has(10);
    await admin.del('{gateway}:sources');
    const last = await add(admin, range(11, 15));
    expect(await reader.has(15)).toEqual(range(1, 15));
    await reader.readTo(last);
    expect(reader.warnings).toEqual(['the place in a source stream is gone from Redis; going on from memory']);
  });

  test('is known to every pod that has read the journal', async () => {
    const { redis, admin, reader } = await open();
    const other = await SourceReader.start(cleanup, redis);
    await reader.take();
    await add(admin, range(1, 10));
    await other.has(10);
    other.seeAll();
    await reader.leave();
    await admin.del('{gateway}:sources');
    await other.take();
    await add(admin, range(11, 15));
    expect(await other.has(15)).toEqual(range(1, 15));
    expect(other.lost).toBe(0);
  });

  test('with everything else, by FLUSHALL, leaves a stream that is read on as it is added to', async () => {
    const { admin, reader } = await open();
    await reader.take();
    await add(admin, range(1, 10));
    await reader.has(10);
    await admin.flushall();
    await reader.take();
    const last = await add(admin, range(11, 15));
    await reader.readTo(last);
    expect((await reader.has(15)).toSorted((a, b) => a - b)).toEqual(range(1, 15));
  });
});

test('a source stream whose key holds something else cannot be read, says so, and is read when it is mended', async () => {
  const { admin, reader } = await open();
  await admin.set('signals', 'a string');
  await until('the fault', () => reader.errors.some((one) => one.includes('WRONGTYPE')));
  await reader.take();
  await until('the fault again', () => reader.errors.length > 1);
  expect(reader.up).toBe(false);
  await admin.del('signals');
  await add(admin, [1]);
  expect(await reader.has(1)).toEqual([1]);
  // And while it waits for entries.
  await admin.set('signals', 'a string');
  await until('the fault', () => !reader.up);
  await admin.del('signals');
  await add(admin, [2]);
  expect(await reader.has(2)).toEqual([1, 2]);
});
