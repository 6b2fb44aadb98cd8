import { IndependentFleet } from '../load/independent.js';
import { publishOpenLoop } from '../load/publisher.js';
import type { Run } from '../result.js';
import type { Progress, Scenario } from '../scenario.js';
import { SETTLE_LIMIT_MS } from '../harness/fleet.js';
import { UsageMeter, interleave, loadOf, withServers } from '../harness/harness.js';
import { type Steady, WARM_UP_SECONDS, measureSteady, settingsOf, steadyOf, withoutTopics } from '../harness/steady.js';
import { limitedBy } from '../harness/summary.js';
import { warmUp } from '../harness/warm-up.js';

/** The server with the clients of this bench; with those in C; with those in C, each read made as dear as in this bench. */
const ROWS = ['raw', 'raw, clients in C', 'raw, clients in C, as slow'] as const;

/**
 * Processor time that the clients took for a delivery, in ns.
 *
 * @param processes - that held them
 */
function readingNanos({ figures, load }: Run, processes: number): number {
  return ((load?.generator ?? 0) * processes * 1e9) / Math.max(1, figures.deliveriesPerSecond ?? 0);
}

/** One run of the `raw` server with the clients of the generator in C, and the publisher of this bench. */
async function measureIndependent(steady: Steady, progress: Progress, idleNanos = 0): Promise<Run> {
  const { clients, rate, seconds, payload } = steady;
  const from = rate * WARM_UP_SECONDS;
  const signals = from + rate * seconds;
  return withServers('raw', {}, async (bed) => {
    await warmUp(bed, steady.warmUp);
    const fleet = await IndependentFleet.connect(bed.servers[0]?.port ?? 0, { clients, from, signals, idleNanos });
    try {
      const meter = new UsageMeter(bed);
      const onProgress = (share: number): void => progress.within(share);
      const published = await publishOpenLoop({ redisUrl: bed.redis.url, from: 0, signals, rate, payload, onProgress });
      const report = await fleet.report(SETTLE_LIMIT_MS);
      const usage = meter.end();
      const load = loadOf(usage, report.cpuMicros / 1000, published.busyMillis);
      const expected = clients * signals;
      const { received, outOfOrder, closed } = report;
      return {
        figures: {
          p50: report.p50 / 1000,
          p90: report.p90 / 1000,
          p99: report.p99 / 1000,
          max: report.max / 1000,
          cpuPerDelivery: ((usage.serverMillis[0] ?? 0) * 1000) / Math.max(1, received),
          deliveriesPerSecond: received / usage.seconds,
        },
        counts: { expected, received, lost: expected - received, twice: 0, outOfOrder, dropped: closed },
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      await fleet.close();
    }
  });
}

/** Whether the clients of this bench see what an independent program sees. */
export const crosscheck: Scenario = {
  name: 'crosscheck',
  title: 'the load generator against an independent one in C, on the same server',
  async run(settings, progress) {
    const { runs = 3 } = settings;
    // One process against one: two that read side by side are late otherwise than one that takes as long.
    const steady = { ...steadyOf({ workers: 1, ...withoutTopics(settings) }), pods: 1 };
    progress.steps(ROWS.length * runs);
    /** Of this round. */
    let ours: number | undefined;
    let inC: number | undefined;
    const rows = await interleave({
      names: ROWS,
      runs,
      progress,
      measure: async (name) => {
        if (name === 'raw') {
          ours = inC = undefined;
          const { run } = await measureSteady('raw', steady, progress);
          ours = readingNanos(run, steady.workers);
          return run;
        }
        if (name === 'raw, clients in C') {
          const run = await measureIndependent(steady, progress);
          inC = readingNanos(run, 1);
          return run;
        }
        if (ours === undefined || inC === undefined) throw new Error('It is not known how slow that is');
        return measureIndependent(steady, progress, Math.round(Math.max(0, ours - inC)));
      },
    });
    return {
      name: crosscheck.name,
      title: crosscheck.title,
      settings: settingsOf(steady, runs),
      tables: [{ point: '', columns: ['cpuPerDelivery', 'p50', 'p90', 'p99', 'max', 'deliveriesPerSecond'], rows }],
      notes: [
        "All rows are the same server and the same publisher. The clients are this bench's worker processes, and one single-threaded program in C (bench/load/independent/generator.c). Latency holds the time that the clients themselves take to get round to the last of them, so it is the cheaper to read for, the shorter.",
        'The last row is the program in C that lets pass, for each signal, as much time as the clients of this bench took longer for one in the same round: where it agrees with the first row, the cost of reading is all that the two differ in.',
      ],
    };
  },
};
