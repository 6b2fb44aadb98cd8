import * as fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { type Offset, isHole } from '../../src/contract/offset.js';
import { journalKeys } from '../../src/journal/redis-keys.js';
import { JournalPod } from '../support/journal-pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { TcpForwarder } from '../support/tcp-forwarder.js';
import { until } from '../support/until.js';
import { delivered, messages, nth, placeOf, priceOf, range, readAll } from './journal-suite.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A pod whose reader can be cut off. */
interface Member {
  readonly pod: JournalPod;
  readonly line: TcpForwarder;
  /** The place at which it joined. */
  readonly joined: Offset;
}

/** One thing that happens; `who` is taken modulo the number of pods. */
type Step =
  | { readonly kind: 'append'; readonly who: number; readonly count: number }
  | { readonly kind: 'cut'; readonly who: number }
  | { readonly kind: 'back'; readonly who: number }
  | { readonly kind: 'save' }
  | { readonly kind: 'fresh' }
  /** Redis is killed, and comes back with what was saved last. Pods that are not cut off find it by themselves. */
  | { readonly kind: 'restart'; readonly savesBefore: boolean; readonly cutsAll: boolean };

const MAX_PODS = 5;

const who = fc.nat(MAX_PODS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('append' as const), who, count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'back' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('save' as const, 'fresh' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('restart' as const), savesBefore: fc.boolean(), cutsAll: fc.boolean() }),
  },
);

/** A Redis that loses entries, pods that read it, and what was appended. */
class History {
  readonly members: Member[] = [];
  /** Whether Redis has always come back with all that was in it. */
  isWhole = true;
  /** Price of every message that was appended, by the number that it was given. */
  readonly #appended = new Map<number, number>();
  readonly #redis: RedisServer;
  #price = 0;
  #isSaved = false;

  constructor(redis: RedisServer) {
    this.#redis = redis;
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const one of steps) await this.#do(one);
    for (const { line } of this.members) line.leadTo(this.#redis.port);
    await Promise.all(this.members.map(({ pod }) => pod.linked()));
    await this.#append(this.members[0], 1);
    const isThere = (pod: JournalPod): boolean => pod.entries.some((entry) => priceOf(entry) === this.#price);
    await until('every pod to have the last entry', () => this.members.every(({ pod }) => isThere(pod)), {
      seen: () => this.members.map(({ pod }) => pod),
    });
  }

  async join(): Promise<void> {
    const { port, url } = this.#redis;
    const line = await TcpForwarder.open(cleanup, port);
    const pod = await JournalPod.start(cleanup, { url, readerUrl: line.url });
    this.members.push({ pod, line, joined: placeOf(pod.journal.head()) });
  }

  /** Numbers that name two messages, among all that anybody was given or told. */
  givenTwice(): number[] {
    const prices = new Map(this.#appended);
    const twice = new Set<number>();
    for (const entry of this.members.flatMap(({ pod }) => pod.entries)) {
      if ((prices.get(entry.seq) ?? priceOf(entry)) !== priceOf(entry)) twice.add(entry.seq);
      prices.set(entry.seq, priceOf(entry));
    }
    return [...twice];
  }

  /** Numbers of acknowledged messages that a pod was not given, and was told nothing of. */
  untold({ pod, joined }: Member): number[] {
    const got = new Set(pod.entries.map(({ seq }) => seq));
    const last = pod.entries.at(-1)?.seq ?? joined.seq;
    const missing = [...this.#appended.keys()].filter((seq) => seq > joined.seq && seq < last && !got.has(seq));
    return missing.filter((seq) => !pod.gaps.some(({ resumed }) => resumed.seq > seq));
  }

  async #append(member: Member | undefined, count: number): Promise<void> {
    const from = this.#price + 1;
    this.#price += count;
    const places = (await member?.pod.journal.append(messages(count, from))) ?? [];
    for (const [i, { seq }] of places.entries()) {
      if (this.#appended.has(seq)) throw new Error(`${seq} was given to two messages`);
      this.#appended.set(seq, from + i);
    }
    this.#isSaved = false;
  }

  async #do(one: Step): Promise<void> {
    if (one.kind === 'restart') {
      await this.#restart(one);
    } else if (one.kind === 'save') {
      await this.#save();
    } else if (one.kind === 'fresh') {
      if (this.members.length < MAX_PODS) await this.join();
    } else {
      const member = this.members[one.who % this.members.length];
      if (one.kind === 'append') await this.#append(member, one.count);
      else member?.line.leadTo(one.kind === 'cut' ? 0 : this.#redis.port);
      if (one.kind === 'back') await member?.pod.linked();
    }
  }

  async #save(): Promise<void> {
    await this.#redis.client(cleanup).save();
    this.#isSaved = true;
  }

  async #restart({
    savesBefore,
    cutsAll,
  }: {
    readonly savesBefore: boolean;
    readonly cutsAll: boolean;
  }): Promise<void> {
    if (savesBefore) await this.#save();
    this.isWhole &&= this.#isSaved;
    if (cutsAll) for (const { line } of this.members) line.leadTo(0);
    await this.#redis.restart();
    this.#isSaved = true;
    for (const { pod } of this.members) {
      await until('commands to be taken', async () => (await pod.commands.ping()) === 'PONG');
    }
  }
}

/** What is wrong with what a pod was given and told; the history says what was there. */
function faultsOf(history: History, member: Member): string[] {
  const { entries, gaps } = member.pod;
  const numbers = entries.map(({ seq }) => seq);
  // What the entries themselves say is no less than what the pod was told.
  const holes = entries.filter((entry, i) => isHole(entries[i - 1] ?? member.joined, entry)).map(({ seq }) => seq);
  const unfounded = gaps.filter(({ resumed }) => !holes.includes(resumed.seq + 1));
  return [
    ...numbers.filter((seq, i) => i > 0 && seq <= (numbers[i - 1] ?? 0)).map((seq) => `${seq} does not grow`),
    ...history.untold(member).map((seq) => `${seq} is missing, and nobody said so`),
    ...unfounded.map(({ resumed }) => `a gap before ${resumed.seq + 1}, which says nothing of one`),
    ...(history.isWhole ? gaps : []).map(({ resumed }) => `a gap before ${resumed.seq + 1}, and nothing was lost`),
  ];
}

test('whatever Redis loses and whoever comes first: no number is given twice, and every pod has everything or is told', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 24 }), async (steps) => {
      try {
        const history = new History(await RedisServer.start(cleanup));
        await history.join();
        await history.join();
        await history.play(steps);
        expect(history.givenTwice()).toEqual([]);
        expect(history.members.flatMap((member) => faultsOf(history, member))).toEqual([]);
      } finally {
        await cleanup.run();
      }
    }),
    { numRuns: Number(process.env['EPOCH_RUNS'] ?? 12), endOnFailure: true },
  );
}, 300_000);

test('a pod that was away while Redis lost its data twice may be the only one that knows what was lost first: all are told', async () => {
  const history = new History(await RedisServer.start(cleanup));
  await history.join();
  await history.join();
  await history.play([
    { kind: 'append', who: 0, count: 2 },
    { kind: 'cut', who: 0 },
    { kind: 'append', who: 1, count: 3 },
    { kind: 'cut', who: 1 },
    { kind: 'restart', savesBefore: false, cutsAll: true },
    { kind: 'back', who: 0 },
    { kind: 'append', who: 0, count: 2 },
    { kind: 'restart', savesBefore: false, cutsAll: false },
    { kind: 'append', who: 0, count: 1 },
    { kind: 'back', who: 1 },
  ]);
  expect(history.members.flatMap((member) => faultsOf(history, member))).toEqual([]);
});

test('numbers are those of the clock of Redis in microseconds, and go on by one', async () => {
  const redis = await RedisServer.start(cleanup);
  const [seconds] = await redis.client(cleanup).time();
  const pod = await JournalPod.start(cleanup, { url: redis.url });
  const start = placeOf(pod.journal.head());
  expect(start.seq).toBeGreaterThanOrEqual(Number(seconds) * 1_000_000);
  expect(start.seq).toBeLessThan((Number(seconds) + 60) * 1_000_000);
  expect(await pod.journal.append(messages(3))).toEqual(range(1, 3).map((n) => nth(start, n)));
});

/** Puts a journal into Redis as version 0.1 wrote it: numbers from 1, and nothing said by the first entry. */
async function writeOldJournal(redis: RedisServer, count: number): Promise<Offset> {
  const client = redis.client(cleanup);
  const { meta, journal } = journalKeys('gateway');
  const replid = /master_replid:(\w+)/.exec(await client.info('replication'))?.[1] ?? '';
  await client.hset(meta, { epoch: 'oldEpoch', seq: String(count), replid, origin: '0', start: '0' });
  for (const [i, { event, json, symbol = '', timeframe = '' }] of messages(count).entries()) {
    const place = ['symbol', symbol, 'timeframe', timeframe, 'service', '', 'id', `h${i}`, 'epoch', 'oldEpoch'];
    await client.xadd(journal, `${i + 1}-0`, 'event', event, 'json', json, ...place);
  }
  return { epoch: 'oldEpoch', seq: 0 };
}

test('a journal that version 0.1 began goes on, and the epoch after it follows on it', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const start = await writeOldJournal(redis, 10);
  const pod = await JournalPod.start(cleanup, { url: redis.url });
  expect(placeOf(pod.journal.head())).toEqual(nth(start, 10));
  expect(await pod.journal.append(messages(2, 11))).toEqual([nth(start, 11), nth(start, 12)]);
  await delivered(pod, 2);
  await redis.restart();
  await pod.linked();
  const [after] = await pod.journal.append(messages(1, 13));
  await delivered(pod, 3);
  expect(after?.seq).toBeGreaterThan(1_000_000);
  expect(pod.gaps).toEqual([]);
  const fresh = await JournalPod.start(cleanup, { url: redis.url });
  for (const one of [pod, fresh]) {
    expect(await one.journal.resolve(nth(start, 4))).toEqual({ ok: true });
    const read = await readAll(one.journal, nth(start, 4));
    expect(read.map(priceOf)).toEqual(range(5, 13));
    expect(read.some((entry, i) => isHole(read[i - 1] ?? nth(start, 4), entry))).toBe(false);
  }
});

test('a pod that is in the middle of an epoch is as many entries behind as there are, however far numbers jump', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const line = await TcpForwarder.open(cleanup, redis.port);
  const writer = await JournalPod.start(cleanup, { url: redis.url });
  const late = await JournalPod.start(cleanup, { url: redis.url, readerUrl: line.url });
  await writer.journal.append(messages(5));
  await delivered(late, 5);
  line.leadTo(0);
  await until('the reader to be cut off', () => !late.up);
  await writer.journal.append(messages(5, 6));
  await redis.restart();
  await writer.linked();
  await writer.journal.append(messages(2500, 11));
  const lags = new Set<number>();
  const watch = setInterval(() => lags.add(late.journal.lag()), 1);
  line.leadTo(redis.port);
  await delivered(late, 2510);
  clearInterval(watch);
  expect(Math.max(...lags)).toBeLessThanOrEqual(2505);
  expect(Math.max(...lags)).toBeGreaterThan(1000);
  expect(late.gaps).toEqual([]);
  await late.journal.caughtUp(() => true);
  expect(late.journal.lag()).toBe(0);
});
