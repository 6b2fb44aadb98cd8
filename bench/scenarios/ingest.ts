import type { Run } from '../result.js';
import type { Scenario } from '../scenario.js';
import { failureOf, interleave } from '../harness/harness.js';
import { BATCH, measureCeiling } from '../harness/ingest-ceiling.js';
import { KEPT, type Kept, measureKept } from '../harness/ingest-kept.js';
import { measureStream } from '../harness/ingest-stream.js';
import { WAYS, type Way, measureWays } from '../harness/ingest-way.js';
import { latencyFigures, mergeHistograms, rowOf } from '../harness/summary.js';

/** What a bare round trip to Redis takes, as a note; none without figures. */
function roundTripNote(pings: readonly string[]): string[] {
  const ping = mergeHistograms(pings);
  const { p50: roundTripMs } = ping === undefined ? {} : latencyFigures(ping);
  if (roundTripMs === undefined) return [];
  return [
    `One bare round trip to Redis (PING), measured in the same turns, took ${roundTripMs.toFixed(3)} ms at the median.`,
  ];
}

/** What the journal adds to the way of a signal, and how much it takes. */
export const ingest: Scenario = {
  name: 'ingest',
  title: 'what the journal adds to the way from PUBLISH to a client, and how many appends a second it takes',
  async run({ seconds = 5, runs = 3, payload = 0 }, progress) {
    progress.steps(4 * runs);
    const ways: Record<Way, Run[]> = { straight: [], 'bare-journal': [], gateway: [], 'gateway-stream': [] };
    const failures: string[] = [];
    const pings: string[] = [];
    for (let run = 1; run <= runs; run++) {
      progress.step(`one signal at a time, run ${run} of ${runs}`);
      try {
        const measured = await measureWays(seconds, payload, progress);
        for (const way of WAYS) ways[way].push(measured.runs[way]);
        pings.push(measured.ping);
      } catch (error) {
        // The rows share their run, so they share its end.
        failures.push(failureOf(run, error));
      }
    }
    const ceiling = await interleave({
      names: ['gateway', 'gateway-stream'],
      runs,
      progress,
      point: 'appends',
      measure: (name) => (name === 'gateway' ? measureCeiling : measureStream)(seconds, payload, progress),
    });
    const kept: Record<Kept, Run[]> = { gateway: [], 'JOURNAL_MIN_REPLICAS=1': [] };
    const keptFailures: string[] = [];
    for (let run = 1; run <= runs; run++) {
      progress.step(`with a replica, run ${run} of ${runs}`);
      try {
        const measured = await measureKept(seconds, payload, progress);
        for (const name of KEPT) kept[name].push(measured[name]);
      } catch (error) {
        keptFailures.push(failureOf(run, error));
      }
    }
    return {
      name: ingest.name,
      title: ingest.title,
      settings: { 'seconds a run': seconds, runs, clients: 1, 'appends a batch': BATCH },
      tables: [
        {
          point: 'one signal at a time',
          columns: ['p50', 'p90', 'p99', 'addedMs'],
          rows: WAYS.map((way) => rowOf(way, ways[way], failures)),
        },
        {
          point: 'as many appends as Redis takes',
          columns: ['appendsPerSecond', 'readBackPerSecond', 'cpuShare'],
          rows: ceiling,
        },
        {
          point: 'published over HTTP, with a replica attached',
          columns: ['p50', 'p90', 'p99', 'appendsPerSecond'],
          rows: KEPT.map((name) => rowOf(name, kept[name], keptFailures)),
        },
      ],
      notes: [
        '"straight" is Socket.IO with a subscription and a local emit; "bare-journal" puts an XADD and a blocking XREAD in between, which is the least that keeps a journal in Redis. The rows take turns signal by signal, and a signal is published when the one before has arrived.',
        'To "gateway-stream" a signal comes by XADD and SIGNAL_STREAM, to "gateway" by PUBLISH. In the table of what Redis takes, its appends are what a producer adds to the stream while the pod carries it, and what is read back has been carried into the journal.',
        'With a replica attached, one signal at a time is posted, and timed until its 202, to a gateway that waits for no replica and to one with JOURNAL_MIN_REPLICAS=1, in turn. The appends a second are of one signal each, with 256 under way.',
        ...roundTripNote(pings),
      ],
    };
  },
};
