import { afterEach, expect, test } from 'vitest';
import { Cleanup } from '../support/processes.js';
import { expectNobodyHarmed, runSlowSpeeds } from '../support/slow-speeds.js';

const CLIENTS = 200;
/** Longer than PING_INTERVAL and PING_TIMEOUT together: what is slow to answer a ping must not be taken for dead. */
const SECONDS = 60;
const LIMIT_MS = 400_000;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test(
  '200 clients that read at random speeds, from 5 KB/s up and some stopped for 20 s, are not cut and get every signal once and in order',
  { timeout: LIMIT_MS },
  async () => {
    const result = await runSlowSpeeds(cleanup, { clients: CLIENTS, seconds: SECONDS });
    expectNobodyHarmed(result);
    expect(result.readers.flatMap(({ gaps }) => gaps)).toEqual([]);
    expect(result.readers.map(({ received }) => received)).toEqual(result.readers.map(() => result.signals));
  },
);

test(
  'a client that reads so slowly that its place leaves the journal keeps its connection and is told by a gap exactly what it missed',
  { timeout: LIMIT_MS },
  async () => {
    const result = await runSlowSpeeds(cleanup, {
      clients: CLIENTS,
      seconds: SECONDS,
      env: { JOURNAL_MAXLEN: '5000' },
    });
    expectNobodyHarmed(result);
    // What each got and what it was told are all there was; that the places fit is checked as they come.
    const accounted = result.readers.map(({ received, missed }) => received + missed);
    expect(accounted).toEqual(accounted.map(() => result.signals));
    const reasons = result.readers.map(({ gaps }) => gaps.map(({ reason }) => reason));
    expect(new Set(reasons.flat())).toEqual(new Set(['expired']));
    // The slowest have fallen out of the journal; those that are faster than the feed have not.
    expect(reasons.filter((_, i) => i % 5 === 1 && reasons[i]?.length === 0)).toEqual([]);
    expect(reasons.filter((_, i) => i % 5 === 0).flat()).toEqual([]);
  },
);
