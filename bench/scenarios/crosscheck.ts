import { IndependentFleet } from '../load/independent.js';
import { publishOpenLoop } from '../load/publisher.js';
import type { Run } from '../result.js';
import type { Progress, Scenario } from '../scenario.js';
import { SETTLE_LIMIT_MS } from './fleet.js';
import { UsageMeter, interleave, loadOf, withServers } from './harness.js';
import { type Steady, WARM_UP_SECONDS, measureSteady, settingsOf, steadyOf, withoutTopics } from './steady.js';
import { limitedBy } from './summary.js';
import { warmUp } from './warm-up.js';

/** One run of the `raw` server with the clients of the generator in C, and the publisher of this bench. */
async function measureIndependent(steady: Steady, progress: Progress): Promise<Run> {
  const { clients, rate, seconds, payload } = steady;
  const from = rate * WARM_UP_SECONDS;
  const signals = from + rate * seconds;
  return withServers('raw', {}, async (bed) => {
    await warmUp(bed, steady.warmUp);
    const fleet = await IndependentFleet.connect(bed.servers[0]?.port ?? 0, { clients, from, signals });
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
    const steady = { ...steadyOf(withoutTopics(settings)), pods: 1 };
    const names = ['raw', 'raw, clients in C'] as const;
    progress.steps(names.length * runs);
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: async (name) =>
        name === 'raw' ? (await measureSteady('raw', steady, progress)).run : measureIndependent(steady, progress),
    });
    return {
      name: crosscheck.name,
      title: crosscheck.title,
      settings: settingsOf(steady, runs),
      tables: [{ point: '', columns: ['cpuPerDelivery', 'p50', 'p90', 'p99', 'max', 'deliveriesPerSecond'], rows }],
      notes: [
        "Both rows are the same server and the same publisher; the clients are this bench's worker processes, and one single-threaded program in C (bench/load/independent/generator.c). Latency holds the time the clients themselves take to get round to the last of them, so it is the cheaper to read for, the shorter.",
      ],
    };
  },
};
