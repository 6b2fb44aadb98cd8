import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { FeedWitness } from '../support/feed-witness.js';
import { FrontDoor } from '../support/front-door.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { FUZZ_SEED, Random } from '../support/random.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const KB = 1024;
const READERS = 18;
/** Published in all: several times what the kernels between a pod and a client take. */
const MOST_BYTES = 24 * 1024 * KB;
/** With the rest of a signal it is just below what is taken. */
const LONGEST = 16_000 - 300;
const SYMBOLS = ['A', 'B', 'C', 'D'];
const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket']];

/** A reader and the door that it reads through. */
interface Reader {
  readonly door: FrontDoor;
  readonly client: FeedWitness;
  /** Whether it chooses other topics while it is behind. */
  readonly isFickle: boolean;
}

async function connect(random: Random, pods: readonly Pod[]): Promise<Reader[]> {
  const readers: Reader[] = [];
  for (let i = 0; i < READERS; i++) {
    const door = await FrontDoor.open(cleanup, [pods[i % pods.length] as Pod]);
    const topics = i % 2 === 0 ? ['*'] : [random.pick(SYMBOLS), random.pick(SYMBOLS)];
    const client = new FeedWitness(cleanup, door.url, { topics, transports: TRANSPORTS[i % 3] ?? [] });
    readers.push({ door, client, isFickle: i % 4 > 1 });
  }
  await until('all readers to be welcomed', () => readers.every(({ client }) => client.isWelcomed), {
    seen: () => readers.map(({ client }) => client),
  });
  return readers;
}

/** Reads and stops at random, until there is nothing more to come. */
async function readAtRandom({ door, client, isFickle }: Reader, random: Random, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    door.pause();
    if (isFickle && random.below(3) === 0) {
      client.subscribe(random.below(4) === 0 ? ['*'] : [random.pick(SYMBOLS), random.pick(SYMBOLS)]);
    }
    await sleep(random.below(5) === 0 ? 500 + random.below(1500) : random.below(300));
    door.resume();
    await sleep(random.below(200));
  }
  door.resume();
}

/** Publishes batches of random sizes. @returns the symbol of each signal, by its `seq` */
async function publish(random: Random, pods: readonly Pod[]): Promise<Map<number, string>> {
  const published = new Map<number, string>();
  let price = 0;
  let left = MOST_BYTES;
  while (left > 0) {
    const sizes = Array.from({ length: 1 + random.below(random.pick([3, 60])) }, () =>
      random.below(random.below(3) === 0 ? 1000 : LONGEST),
    );
    left -= sizes.reduce((sum, size) => sum + size, 0);
    const batch = sizes.map((size) => signal(price++, { symbol: random.pick(SYMBOLS), padding: 'x'.repeat(size) }));
    const answer = await random.pick(pods).post('/v1/signals', batch);
    expect(answer.status).toBe(202);
    const { offsets } = (await answer.json()) as { offsets: string[] };
    for (const [i, offset] of offsets.entries()) published.set(Number(offset.split(':')[1]), batch[i]?.symbol ?? '');
    if (random.below(4) === 0) await sleep(random.below(150));
  }
  return published;
}

test.each([
  { name: 'MAX_BACKPRESSURE is 16 KB', maxBackpressure: 16 * KB, maxLength: 100_000 },
  { name: 'MAX_BACKPRESSURE is 1 MB', maxBackpressure: 1024 * KB, maxLength: 100_000 },
  { name: 'the journal keeps 400 entries', maxBackpressure: undefined, maxLength: 400 },
])(
  'clients that read at random get everything in order or are told what they missed, and stay connected: $name',
  async ({ maxBackpressure, maxLength }) => {
    const seed = FUZZ_SEED + maxLength + (maxBackpressure ?? 0);
    const random = new Random(seed);
    const limit = maxBackpressure ?? 16 * KB + random.below(1024 * KB);
    const what = `FUZZ_SEED=${FUZZ_SEED} MAX_BACKPRESSURE=${limit}`;
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, MAX_BACKPRESSURE: String(limit), JOURNAL_MAXLEN: String(maxLength) };
    const pods = await Promise.all([Pod.start(cleanup, env), Pod.start(cleanup, env)]);
    const readers = await connect(random, pods);
    const clients = readers.map(({ client }) => client);

    const state = { isOver: false };
    const reading = readers.map((reader, i) => readAtRandom(reader, new Random(seed + i + 1), () => state.isOver));
    let mostBehind = 0;
    const watching = (async (): Promise<void> => {
      while (!state.isOver) {
        for (const pod of pods) mostBehind = Math.max(mostBehind, await pod.metric('gateway_clients_catching_up'));
        await sleep(50);
      }
    })();
    const published = await publish(random, pods);
    state.isOver = true;
    await Promise.all([...reading, watching]);
    // A last one that everybody wants, so that everybody is known to have come to the end.
    await until(
      'every reader to have come to the end',
      async () => {
        for (const client of clients) client.subscribe(['*']);
        await sleep(500);
        return clients.every(({ last }) => last >= Math.max(...published.keys()));
      },
      { limit: 90_000, seen: () => [what, clients] },
    );

    const faults = clients.map((client) => client.faults(published));
    expect({ what, faults }).toEqual({ what, faults: clients.map(() => []) });
    expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
    // Where the journal keeps all of it nobody has lost anything.
    const gaps = clients.map((client) => (maxLength > published.size ? client.gaps : 0));
    expect(gaps).toEqual(clients.map(() => 0));
    for (const pod of pods) {
      expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
      expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
    }
    expect(mostBehind).toBeGreaterThan(0);
  },
);
