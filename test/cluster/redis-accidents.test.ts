import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AccidentLoad } from '../support/accident-load.js';
import { deleted } from '../support/deletion.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const whole = new Cleanup();
const cleanup = new Cleanup();
afterEach(() => cleanup.run());
afterAll(() => whole.run());

let redis: RedisServer;
let hand: Redis;
let pods: Pod[];
beforeAll(async () => {
  redis = await RedisServer.start(whole);
  hand = redis.client(whole);
  pods = await Promise.all([1, 2].map(() => Pod.start(whole, { REDIS_URL: redis.url })));
}, 60_000);

const JOURNAL = '{gateway}:journal';
const META = '{gateway}:meta';
const LARGEST = '18446744073709551615-18446744073709551615';

async function seqNow(): Promise<number> {
  return Number(await hand.hget(META, 'seq'));
}

/** Fields as a gateway writes them, some of them changed. */
async function fields(change: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const epoch = (await hand.hget(META, 'epoch')) ?? '';
  const own = {
    event: 'new_signal',
    json: '{"price":-1}',
    symbol: 'BTC/USDT',
    timeframe: '1m',
    service: '',
    id: 'habc',
    epoch,
  };
  return Object.entries({ ...own, ...change }).flat();
}

const ADD_AHEAD = `
local id = string.format('%.0f', redis.call('HGET', KEYS[1], 'seq') + ARGV[1]) .. '-0'
return redis.call('XADD', KEYS[2], id, unpack(ARGV, 2))`;

/** Adds an entry so many places ahead, whatever the pods append meanwhile. */
async function addAhead(ahead: number, change: Readonly<Record<string, string>> = {}): Promise<void> {
  await hand.eval(ADD_AHEAD, 2, META, JOURNAL, ahead, ...(await fields(change)));
}

interface Accident {
  readonly does: () => Promise<unknown>;
  /** What the log of some pod says. */
  readonly says?: RegExp;
  /** Whether entries that clients had not got may be gone; else nobody may be told of a loss. */
  readonly loses?: boolean;
}

const FOREIGN = /is not of this gateway; it is left out/;
const ASIDE = /held something else; it was set aside/;
const MENDED = /took no entries any more; it was mended/;

const ENTRIES: Readonly<Record<string, Accident>> = {
  'an entry that is added with *': {
    does: () => hand.xadd(JOURNAL, '*', 'event', 'new_signal', 'json', '{}'),
    says: FOREIGN,
  },
  'a hundred entries that are added with * one after the other': {
    does: async () => {
      for (let i = 0; i < 100; i++) await hand.xadd(JOURNAL, '*', 'x', 'y');
    },
  },
  'more entries that are added with * than come with one answer': {
    does: async () => {
      const pipeline = hand.pipeline();
      for (let i = 0; i < 5000; i++) pipeline.xadd(JOURNAL, '*', 'x', 'y');
      await pipeline.exec();
    },
  },
  'an entry with all fields that is added with *': { does: async () => hand.xadd(JOURNAL, '*', ...(await fields())) },
  'an entry a little ahead, without fields of a gateway': { does: () => addAhead(500, { event: 'what' }) },
  'an entry a little ahead, whose json is none': { does: () => addAhead(500, { json: '{"price":' }) },
  'an entry a little ahead, of a foreign epoch': { does: () => addAhead(500, { epoch: 'elsewhere' }) },
  'junk in the very next place': { does: () => addAhead(1, { json: 'junk' }) },
  'an entry in the very next place, of an epoch that is over': {
    does: async () => {
      const before = (await hand.xrange(JOURNAL, '-', '+', 'COUNT', 1))[0]?.[1][13] ?? '';
      await addAhead(1, { epoch: before });
    },
  },
  'an entry an hour of numbers ahead': { does: () => addAhead(7_200_000_000, { json: 'x' }), says: MENDED },
  'an entry beyond 2^53': {
    does: async () => hand.xadd(JOURNAL, '9007199254740993-0', ...(await fields())),
    says: MENDED,
  },
  'an entry with the very largest id': { does: () => hand.xadd(JOURNAL, LARGEST, 'x', 'y'), says: MENDED },
  'a last id that is set ahead by hand': {
    does: async () => hand.call('XSETID', JOURNAL, `${(await seqNow()) + 500}-0`),
  },
  ...Object.fromEntries(
    ['8999999999999990', '9007199254740991', '99999999999999999999'].map((seq) => [
      `a number of the journal that is set to ${seq} by hand`,
      { does: () => hand.hset('{gateway}:meta', 'seq', seq) },
    ]),
  ),
  'the very largest last id, set by hand': { does: () => hand.call('XSETID', JOURNAL, LARGEST), says: MENDED },
};

const KEYS = ['meta', 'journal', 'deletions', 'statuses', 'lease', 'bridge', 'claim', 'sources', 'probe', 'probed'];
const STATES: Readonly<Record<string, Accident>> = {
  ...Object.fromEntries(
    KEYS.map((key) => [
      `another type in the place of ${key}`,
      {
        does: async (): Promise<void> => {
          const name = `{gateway}:${key}`;
          await hand.multi().del(name).sadd(name, 'by hand').exec();
          // Asked for only by whoever takes the lease.
          if (key === 'bridge') await hand.del('{gateway}:lease');
          if (key === 'statuses') await pods[0]?.post('/v1/status', status());
        },
        // Their own scripts deal with the last three, or nobody uses them here.
        ...(/^(?:sources|probed?)$/.test(key) ? {} : { says: ASIDE }),
        loses: key === 'journal',
      },
    ]),
  ),
  ...Object.fromEntries(
    ['lease', 'claim'].map((key) => [
      `a ${key} that is set by hand and never ends`,
      { does: () => hand.set(`{gateway}:${key}`, 'by hand') },
    ]),
  ),
  'a number of the journal that is set two days ahead by hand': {
    does: async () => hand.hset('{gateway}:meta', 'seq', (await seqNow()) + 172_800_000_000),
    // Nobody can tell the hole in the numbers from a loss.
    loses: true,
  },
  'a lease that is set by hand for a day': { does: () => hand.set('{gateway}:lease', 'by hand', 'EX', 86_400) },
  ...Object.fromEntries(
    KEYS.map((key) => [`a deleted ${key}`, { does: () => hand.del(`{gateway}:${key}`), loses: key === 'journal' }]),
  ),
  ...Object.fromEntries(
    ['kept-topics', 'kept-topics:brief', 'kept-topics:long'].map((key) => [
      `another type in the place of ${key}`,
      {
        does: async (): Promise<void> => {
          await hand.multi().del(`{gateway}:${key}`).sadd(`{gateway}:${key}`, 'by hand').exec();
          const client = await FeedClient.connect(cleanup, pods[0]?.url ?? '');
          const choose = async (): Promise<boolean> => {
            const answer = (await client.socket.timeout(5000).emitWithAck('subscribe', ['BTC/USDT'])) as {
              ok: boolean;
            };
            return answer.ok;
          };
          await until('the topics to be kept', choose);
        },
        says: ASIDE,
      },
    ]),
  ),
  'another type in the place of rejected': {
    does: async () => {
      await hand.multi().del('{gateway}:rejected').sadd('{gateway}:rejected', 'by hand').exec();
      await hand.publish('new_signal', 'rubbish');
    },
    says: ASIDE,
  },
  ...Object.fromEntries(
    [0, 1, 2].map((i) => [
      `another type in the place of named request ${i}`,
      {
        does: async (): Promise<void> => {
          await hand.sadd(
            `{gateway}:request:${createHash('sha256').update(`name-${i}`).digest('base64url')}`,
            'by hand',
          );
          const post = async (): Promise<boolean> => {
            const answer = await pods[i % 2]?.post('/v1/signals', signal(1_000_010 + i), {
              'idempotency-key': `name-${i}`,
            });
            return answer?.status === 202;
          };
          await until('the request to be carried out', post, { limit: 10_000 });
        },
        says: ASIDE,
      },
    ]),
  ),
  'junk among the statuses': {
    does: async () => {
      await hand.hset('{gateway}:statuses', 'A', 'junk', 'B', 'x:1 {', 'C', 'abc:5 {"service":"C"}');
      const fresh = await Pod.start(cleanup, { REDIS_URL: redis.url });
      const client = await FeedClient.connect(cleanup, fresh.url);
      await until('a signal', () => client.signals.length > 0);
    },
  },
  'junk among the deletions, with the very largest id': {
    does: async () => {
      await hand.xadd('{gateway}:deletions', LARGEST, 'x', 'y');
      const [pod] = pods;
      if (pod === undefined) throw new Error('unreachable');
      const answer = await pod.post('/v1/signals', signal(1_000_002));
      const { offsets } = (await answer.json()) as { offsets: string[] };
      await deleted(pod, offsets[0]);
    },
    // Whoever has not got it when it is deleted is told.
    loses: true,
  },
  'a meta whose seq is no number': { does: () => hand.hset(META, 'seq', 'junk') },
  'a meta whose seq is far too high': { does: () => hand.hset(META, 'seq', '1e30') },
  'a meta whose seq is lower than the stream': {
    does: async () => hand.hset(META, 'seq', String((await seqNow()) - 20)),
  },
  'a meta whose seq is 5': { does: () => hand.hset(META, 'seq', '5') },
  'a meta without start': { does: () => hand.hdel(META, 'start') },
  'a meta without seq': { does: () => hand.hdel(META, 'seq') },
  'a meta with an epoch that is none': { does: () => hand.hset(META, 'epoch', 'no epoch : at all') },
  'a stream that is emptied': { does: () => hand.xtrim(JOURNAL, 'MAXLEN', 0), loses: true },
  'a stream that is trimmed to its newest entries': { does: () => hand.xtrim(JOURNAL, 'MAXLEN', 3), loses: true },
  'entries that are deleted in the middle and at the end': {
    does: async () => {
      const newest = await hand.xrevrange(JOURNAL, '+', '-', 'COUNT', 30);
      await hand.xdel(JOURNAL, ...newest.filter((_, i) => i < 3 || i > 20).map(([id]) => id));
    },
    loses: true,
  },
  'a journal that is renamed and renamed back': {
    does: async () => {
      await hand.rename(JOURNAL, 'elsewhere');
      await new Promise((resolve) => setTimeout(resolve, 100));
      await hand.rename('elsewhere', JOURNAL);
    },
    loses: true,
  },
  'an old copy of the journal and of meta': {
    does: async () => {
      const [journal, meta] = await Promise.all([hand.dumpBuffer(JOURNAL), hand.dumpBuffer(META)]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await hand.multi().restore(JOURNAL, 0, journal, 'REPLACE').restore(META, 0, meta, 'REPLACE').exec();
    },
    loses: true,
  },
  FLUSHALL: { does: () => hand.flushall(), loses: true },
};

/** What is wrong with what clients got while something happened to Redis, once the pods go on by themselves. */
async function faultsAfter({ does, says, loses = false }: Accident): Promise<unknown[]> {
  const load = await AccidentLoad.start(cleanup, pods, hand);
  const logged = pods.map((pod) => pod.logs().length);
  load.drop();
  await does();
  await load.flows();
  await load.end();
  const lines = (): unknown[] => pods.flatMap((pod, i) => pod.logs().slice(logged[i])).map(({ msg }) => msg);
  if (says !== undefined) {
    await until('the log to say so', () => lines().some((line) => says.test(String(line))), { seen: lines });
  }
  const falseAlarms = loses ? [] : load.clients.flatMap(({ gaps }) => gaps);
  return [...load.faults(loses), ...falseAlarms];
}

describe('pods go on by themselves, and nothing is lost, twice or out of order, after', () => {
  test.each(Object.entries(ENTRIES))('%s', async (_, accident) => {
    expect(await faultsAfter(accident)).toEqual([]);
  });
});

describe('pods go on by themselves, and whoever lost something is told, after', () => {
  test.each(Object.entries(STATES))('%s', async (_, accident) => {
    expect(await faultsAfter(accident)).toEqual([]);
  });
});
