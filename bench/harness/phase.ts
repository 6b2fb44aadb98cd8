import type { Fleet } from '../load/fleet.js';
import type { Counts, Run } from '../result.js';
import type { Progress } from '../scenario.js';
import { SETTLE_LIMIT_MS, publishTo } from './fleet.js';
import { type Bed, UsageMeter } from './harness.js';
import { type Steady, runOf } from './steady.js';

/** What happens to a pod during a phase, and what it adds to the phase's run. */
export type Meanwhile = (publishing: Promise<unknown>) => Promise<Pick<Run, 'figures'> & { readonly counts?: Counts }>;

/** Where phases take place. */
export interface PhaseScene {
  /** Only its first server is looked at. */
  readonly bed: Bed;
  /** The clients that get the signals; they stay connected from phase to phase. */
  readonly live: Fleet;
  readonly steady: Pick<Steady, 'rate' | 'seconds' | 'payload'>;
  readonly progress: Progress;
}

/** What two groups of clients got, together. */
export function sumOf(one: Counts, other: Counts): Counts {
  return {
    expected: one.expected + other.expected,
    received: one.received + other.received,
    lost: one.lost + other.lost,
    twice: one.twice + other.twice,
    outOfOrder: one.outOfOrder + other.outOfOrder,
    dropped: one.dropped + other.dropped,
  };
}

/**
 * Publishes for a while to clients that are connected, while something happens to their pod, or nothing.
 *
 * @param from - number of the first signal; everything before it has been delivered
 * @returns latencies and cost of those clients; their counts, with those of `meanwhile`
 */
export async function runPhase(scene: PhaseScene, from: number, meanwhile?: Meanwhile): Promise<Run> {
  const { bed, live, steady, progress } = scene;
  const { rate, seconds, payload } = steady;
  const signals = rate * seconds;
  await live.begin(from);
  await Promise.all(bed.servers.map((server) => server.resetProbe()));
  const meter = new UsageMeter(bed);
  const onProgress = (share: number): void => progress.within(share);
  const publishing = publishTo(live, { redisUrl: bed.redis.url, from, signals, rate, payload, onProgress });
  const measured = publishing.then((published) => ({ published, usage: meter.end() }));
  const [{ published, usage }, more] = await Promise.all([measured, meanwhile?.(publishing)]);
  await live.settled(from + signals, SETTLE_LIMIT_MS);
  const report = await live.report(from + signals);
  const { loopDelayP999, loopDelayMax } = (await bed.servers[0]?.probe()) ?? {};
  const run = runOf(report, usage, published);
  const delays = {
    ...(loopDelayP999 !== undefined && { loopDelayP999 }),
    ...(loopDelayMax !== undefined && { loopDelayMax }),
  };
  return {
    ...run,
    figures: { ...run.figures, ...delays, ...more?.figures },
    ...(run.counts && { counts: more?.counts === undefined ? run.counts : sumOf(run.counts, more.counts) }),
    latency: report.latency,
  };
}
