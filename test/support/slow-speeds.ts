import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { processRss } from '../../bench/load/cpu.js';
import { PacedReader, type ReaderFaults } from './paced-reader.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { Random } from './random.js';
import { RedisServer } from './redis.js';
import { signal } from './signals.js';
import { until } from './until.js';

/** Signals a second. */
const RATE = 500;
/** What makes each signal about 1 KB: a kernel takes some megabytes of a connection before the pod has anything to keep. */
const FILLER = 'x'.repeat(850);
/** Bytes a second of the slowest readers, and of those that are faster than the feed. */
const SLOWEST = 5000;
const FASTEST = 1_000_000;
/** How long some readers take nothing at all, in seconds. */
const STOP_SECONDS = 20;
/** For the slowest to read all that waits for them, once they read at full speed. */
const COMPLETE_LIMIT_MS = 120_000;

/** What the pod takes for all clients together: the ring, pages and frames, up to 80 MiB, and garbage that is not collected yet. */
const SHARED_BYTES = 128 * 1024 * 1024;

/** How {@link runSlowSpeeds} is set up. */
export interface SlowSpeeds {
  readonly clients: number;
  /** How long it is published. */
  readonly seconds: number;
  /** More settings of the pod. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What came of it. */
export interface SlowSpeedsResult {
  readonly readers: readonly PacedReader[];
  /** How many signals were published. */
  readonly signals: number;
  /** How many connections ended, by the reason. */
  readonly cut: Readonly<Record<string, number>>;
  readonly faults: ReaderFaults;
  /** Most memory of the pod while it was published, less that before and what all clients share, in bytes for each client. */
  readonly bytesPerClient: number;
}

/** What every run has to show: nobody is cut, and what each got is contiguous or told. */
export function expectNobodyHarmed({ cut, faults, bytesPerClient }: SlowSpeedsResult): void {
  expect({ cut, faults }).toEqual({ cut: {}, faults: { lost: 0, twice: 0, outOfOrder: 0, wrongGaps: 0 } });
  // Soft mark and budget bound a client, and are below half of MAX_BACKPRESSURE together.
  expect(bytesPerClient).toBeLessThan(768 * 1024);
}

/**
 * Publishes to readers of random speeds: a fifth as fast as they can, a fifth at 5 KB/s, the others between; a fifth of
 * all stops for 20 s. When everything is published they read at full speed, until they have all of it.
 */
export async function runSlowSpeeds(
  cleanup: Cleanup,
  { clients, seconds, env }: SlowSpeeds,
): Promise<SlowSpeedsResult> {
  const redis = await RedisServer.start(cleanup);
  // As in the image: glibc keeps what it has given out otherwise.
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url, MALLOC_MMAP_THRESHOLD_: '131072', ...env });
  await until('the pod to bridge', async () => (await pod.metric('gateway_bridge_lease')) === 1);
  const pid = pod.child.process.pid ?? 0;
  const readers: PacedReader[] = [];
  for (let i = 0; i < clients; i++) readers.push(await PacedReader.connect(cleanup, pod.port));
  // All have the same place: nothing was published since the first of them came.
  const newest = (readers[0]?.last ?? 0) + seconds * RATE;
  const before = processRss(pid);
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, processRss(pid))), 500);
  cleanup.add(watch, clearInterval);
  slowDown(readers, seconds);
  await publish(cleanup, redis, seconds);
  clearInterval(watch);
  for (const reader of readers) reader.hasten();
  const isMissing = ({ ended, last }: PacedReader): boolean => ended === undefined && last < newest;
  await until('every reader to have the newest signal', () => !readers.some(isMissing), {
    limit: COMPLETE_LIMIT_MS,
    seen: () => readers.filter(isMissing),
  });
  return {
    readers,
    signals: seconds * RATE,
    cut: reasonsOf(readers),
    faults: sum(readers),
    bytesPerClient: (most - before - SHARED_BYTES) / clients,
  };
}

function slowDown(readers: readonly PacedReader[], seconds: number): void {
  const random = new Random(15);
  for (const [i, reader] of readers.entries()) {
    // The first of every five reads as fast as it can.
    if (i % 5 === 1) reader.pace(SLOWEST);
    else if (i % 5 > 1) reader.pace(SLOWEST * (FASTEST / SLOWEST) ** random.next());
    if (i % 5 !== 2) continue;
    const latest = Math.max(0, seconds - STOP_SECONDS);
    setTimeout(
      () => {
        reader.stop();
        setTimeout(() => reader.goOn(), STOP_SECONDS * 1000);
      },
      random.next() * latest * 1000,
    );
  }
}

async function publish(cleanup: Cleanup, redis: RedisServer, seconds: number): Promise<void> {
  const producer = redis.client(cleanup);
  const signals = seconds * RATE;
  const begin = performance.now();
  let last: Promise<unknown> = Promise.resolve();
  for (let n = 0; n < signals; n++) {
    const wait = begin + (n * 1000) / RATE - performance.now();
    if (wait > 1) await sleep(wait);
    // Not waited for one by one: the producer keeps its rate whatever this process has to do.
    last = producer.publish('new_signal', JSON.stringify(signal(n, { filler: FILLER })));
  }
  await last;
}

function reasonsOf(readers: readonly PacedReader[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { ended } of readers) if (ended !== undefined) counts[ended] = (counts[ended] ?? 0) + 1;
  return counts;
}

function sum(readers: readonly PacedReader[]): ReaderFaults {
  const of = (key: keyof ReaderFaults): number => readers.reduce((total, { faults }) => total + faults[key], 0);
  return { lost: of('lost'), twice: of('twice'), outOfOrder: of('outOfOrder'), wrongGaps: of('wrongGaps') };
}
