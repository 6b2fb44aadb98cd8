import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { expect, test } from 'vitest';
import { ratesFrom } from '../../../bench/scenarios/saturation.js';
import { measureSteady, steadyOf } from '../../../bench/scenarios/steady.js';

const SILENT = { steps: () => {}, step: () => {}, within: () => {} };
const SMALL = steadyOf({ clients: 20, rate: 20, seconds: 2, payload: 300 });
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

test('bursts, topics, several pods and slow clients go together', async () => {
  const { run, slow } = await measureSteady(
    'raw',
    {
      ...SMALL,
      burst: true,
      pods: 2,
      topics: { symbols: 10, perClient: 5 },
      slow: { share: 0.2, bytesPerSecond: 500 },
    },
    SILENT,
  );
  expect(slow.clients).toBeGreaterThan(2);
  expect(slow).toMatchObject({ expected: (slow.clients * SIGNALS) / 2, lost: 0, silent: 0, dropped: 0 });
  expect(run.counts).toMatchObject({ expected: ((20 - slow.clients) * SIGNALS) / 2, lost: 0, twice: 0, outOfOrder: 0 });
});

test('what the user asks for goes before what a scenario would do', () => {
  expect(steadyOf({}, { clients: 7, burst: true })).toMatchObject({ clients: 7, burst: true, rate: 25, pods: 1 });
  expect(steadyOf({ clients: 9, workers: 3 }, { clients: 7 })).toMatchObject({ clients: 9, workers: 3 });
});

test('the rates of a climb rise by a factor of 1.41', () => {
  expect(ratesFrom(25).slice(0, 6)).toEqual([25, 35, 50, 71, 100, 141]);
});
