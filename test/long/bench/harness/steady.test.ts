import { decodeFromCompressedBase64, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { expect, test } from 'vitest';
import { emptyHistogram } from '../../../../bench/load/tally.js';
import { ratesFrom } from '../../../../bench/scenarios/saturation.js';
import { measureSteady, runOf, steadyOf } from '../../../../bench/harness/steady.js';

const SILENT = { steps: () => {}, step: () => {}, within: () => {} };
const SMALL = steadyOf({ clients: 20, rate: 20, seconds: 2, payload: 300, warmUp: 0 });
const EMPTY = encodeIntoCompressedBase64(emptyHistogram());
/** Two seconds that are timed, and one before. */
const SIGNALS = 60;

test('a run counts every delivery, and times all but the first second', async () => {
  const { run } = await measureSteady('raw', SMALL, SILENT);
  expect(run.counts).toEqual({
    expected: 20 * SIGNALS,
    received: 20 * SIGNALS,
    lost: 0,
    twice: 0,
    outOfOrder: 0,
    dropped: 0,
  });
  expect(decodeFromCompressedBase64(run.latency ?? '').totalCount).toBe(20 * 40);
  expect(decodeFromCompressedBase64(run.spread ?? '').totalCount).toBe(40);
  expect(run.timeline?.map(({ deliveries }) => deliveries)).toEqual([400, 400]);
  expect(run.figures.loopDelayP999).toBeGreaterThanOrEqual(0);
  expect(run.load?.generator).toBeGreaterThan(0);
});

test('bursts, topics, several pods, slow clients and a warm-up go together, and the warm-up is not counted', async () => {
  const { run, slow } = await measureSteady(
    'raw',
    {
      ...SMALL,
      burst: true,
      pods: 2,
      warmUp: 500,
      topics: { symbols: 10, perClient: 5 },
      slow: { share: 0.2, bytesPerSecond: 500 },
    },
    SILENT,
  );
  expect(slow.clients).toBeGreaterThan(2);
  expect(slow).toMatchObject({ expected: (slow.clients * SIGNALS) / 2, lost: 0, silent: 0, dropped: 0 });
  expect(run.counts).toMatchObject({ expected: ((20 - slow.clients) * SIGNALS) / 2, lost: 0, twice: 0, outOfOrder: 0 });
});

test('an overloaded server is credited with what it delivered over the time that took, lost or not', () => {
  const { latency, spread } = { latency: EMPTY, spread: EMPTY };
  const group = { clients: 10, silent: 0, twice: 0, outOfOrder: 0, dropped: 0, reconnected: 0, recovered: 0 };
  const counts = { ...group, expected: 6000, received: 5000, lost: 1000 };
  const timeline = [{ at: 0, p50: 1, p99: 1, max: 1, deliveries: 1000 }];
  // The last delivery came 50 s after the first was due; the wait for more was 10 s.
  const report = { ...counts, slow: group as never, lastAt: 51e6, latency, spread, timeline, busiestWorkerMillis: 0 };
  const usage = { serverMillis: [45_000], machine: 0.5, seconds: 60 };
  const published = { firstDue: 1e6, millis: 2000, busyMillis: 0, lateP99: 0, lateMax: 0 };
  expect(runOf(report, usage, published).figures).toMatchObject({
    deliveriesPerSecond: 100,
    cpuShare: 0.9,
    cpuPerDelivery: 9000,
  });
});

test('what the user asks for goes before what a scenario would do', () => {
  expect(steadyOf({}, { clients: 7, burst: true })).toMatchObject({ clients: 7, burst: true, rate: 25, pods: 1 });
  expect(steadyOf({ clients: 9, workers: 3 }, { clients: 7 })).toMatchObject({ clients: 9, workers: 3 });
});

test('the rates of a climb rise by a factor of 1.41', () => {
  expect(ratesFrom(25).slice(0, 6)).toEqual([25, 35, 50, 71, 100, 141]);
});
