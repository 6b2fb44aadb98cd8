import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FleetPlan, FleetReport } from '../load/fleet-types.js';
import type { Fleet } from '../load/fleet.js';
import type { Published } from '../load/publisher.js';
import type { FigureName, Run, ScenarioResult } from '../result.js';
import type { Progress, ServerName, Settings } from '../scenario.js';
import { BACKLOG_LIMIT_MS, SETTLE_LIMIT_MS, publishTo, withFleet } from './fleet.js';
import { type Bed, UsageMeter, type Usage, loadOf, withServers } from './harness.js';
import { latencyFigures, limitedBy, spreadFigures } from './summary.js';
import { WARM_UP_SIGNALS, warmUp } from './warm-up.js';

/** Seconds of signals that are counted and not timed. */
export const WARM_UP_SECONDS = 1;

/** Clients to which nothing came for this long have all that will come: one that was cut last may wait for half of it. */
const CATCH_UP_MS = 3000;

/** Columns of a table of steady runs. */
export const STEADY_COLUMNS = [
  'p50',
  'p99',
  'p999',
  'max',
  'spreadP50',
  'cpuPerDelivery',
  'cpuShare',
  'deliveriesPerSecond',
  'loopDelayP999',
] as const satisfies readonly FigureName[];

/** A steady stream of signals to a fleet of clients. */
export interface Steady {
  readonly clients: number;
  readonly workers: number;
  readonly pods: number;
  /** Signals a second. */
  readonly rate: number;
  /** All signals of a second are due at one instant. */
  readonly burst?: boolean;
  readonly seconds: number;
  /** Signals that the servers have passed on before the clients connect; see {@link warmUp}. */
  readonly warmUp: number;
  /** Bytes of a signal's JSON. */
  readonly payload: number;
  readonly topics?: FleetPlan['topics'];
  readonly slow?: FleetPlan['slow'];
  /** Where single latencies go; see {@link FleetPlan.samples}. */
  readonly samples?: string;
}

/** A run, and what the clients that read slowly counted in it. */
export interface SteadyRun {
  readonly run: Run;
  readonly slow: FleetReport['slow'];
}

/** One run: starts a server, connects a fleet, publishes, and tells what the clients saw and what it cost. */
export async function measureSteady(name: ServerName, steady: Steady, progress: Progress): Promise<SteadyRun> {
  const { rate, seconds, payload, topics, burst = false } = steady;
  const signals = rate * (WARM_UP_SECONDS + seconds);
  return withServers(name, { pods: steady.pods }, async (bed) => {
    await warmUp(bed, steady.warmUp, topics);
    return withFleet(planOf(steady, bed, signals), progress, async (fleet) => {
      await fleet.begin(rate * WARM_UP_SECONDS);
      await Promise.all(bed.servers.map((server) => server.resetProbe()));
      const meter = new UsageMeter(bed);
      const published = await publishTo(fleet, {
        redisUrl: bed.redis.url,
        from: 0,
        signals,
        rate,
        payload,
        ...(burst && { burst: rate }),
        symbols: topics?.symbols ?? 1,
        onProgress: (share) => progress.within(share),
      });
      const cutShort = await fleet.settled(signals, SETTLE_LIMIT_MS, BACKLOG_LIMIT_MS);
      const usage = meter.end();
      const report = await fleet.report(signals);
      const run = { ...runOf(report, usage, published), latency: report.latency, spread: report.spread };
      const behind = backlogOf(report, published);
      const backlog = behind * 1000 > SETTLE_LIMIT_MS ? { backlog: { seconds: behind, cutShort } } : {};
      const slow = steady.slow === undefined ? report.slow : await caughtUp(fleet, signals, report.slow);
      // One that is still busy with its backlog does not answer.
      const delay = cutShort ? {} : await loopDelay(bed);
      return { run: { ...run, ...backlog, figures: { ...run.figures, ...delay } }, slow };
    });
  });
}

/** The figures, counts and loads of a run in which everything was counted from the first signal. */
export function runOf(report: FleetReport, measured: Usage, published: Published): Run {
  const { expected, received, lost, twice, outOfOrder, dropped } = report;
  const usage = lost > 0 ? withoutWait(measured, report, published) : measured;
  const serverMillis = usage.serverMillis.reduce((sum, millis) => sum + millis, 0);
  const load = loadOf(usage, report.busiestWorkerMillis, published.busyMillis);
  return {
    figures: {
      ...latencyFigures(report.latency),
      ...spreadFigures(report.spread),
      ...(received > 0 && { cpuPerDelivery: (serverMillis * 1000) / received }),
      cpuShare: serverMillis / 1000 / usage.seconds,
      deliveriesPerSecond: received / usage.seconds,
    },
    counts: { expected, received, lost, twice, outOfOrder, dropped },
    load,
    limitedBy: limitedBy(load),
    publisherLate: published.lateP99,
    timeline: report.timeline,
  };
}

/** The time until the last delivery: to wait for those that are lost must not make a server look idle. */
function withoutWait(usage: Usage, { lastAt }: FleetReport, { firstDue }: Published): Usage {
  return lastAt === undefined ? usage : { ...usage, seconds: Math.min(usage.seconds, (lastAt - firstDue) / 1e6) };
}

/** For how long deliveries came after the last signal was published, in s. */
function backlogOf({ lastAt = 0 }: FleetReport, { firstDue, millis }: Published): number {
  return Math.max(0, (lastAt - firstDue) / 1e6 - millis / 1000);
}

function planOf(steady: Steady, { servers }: Bed, signals: number): FleetPlan {
  const { clients, workers, topics, slow, samples } = steady;
  return {
    ports: servers.map(({ port }) => port),
    clients,
    workers,
    signals,
    ...(topics && { topics }),
    ...(slow && { slow }),
    ...(samples !== undefined && { samples }),
  };
}

/** Slow clients read the rest at full speed, so that what never comes can be told from what was late. */
async function caughtUp(fleet: Fleet, signals: number, before: FleetReport['slow']): Promise<FleetReport['slow']> {
  fleet.hasten();
  let last = before;
  for (;;) {
    await sleep(CATCH_UP_MS);
    const { slow } = await fleet.report(signals);
    if (slow.received === last.received) return slow;
    last = slow;
  }
}

async function loopDelay({ servers }: Bed): Promise<{ loopDelayP999?: number }> {
  const delays = await Promise.all(servers.map((server) => server.probe()));
  const known = delays.flatMap(({ loopDelayP999 }) => loopDelayP999 ?? []);
  return known.length === 0 ? {} : { loopDelayP999: Math.max(...known) };
}

/** What a scenario does where the user did not say. */
export type Defaults = Partial<Omit<Steady, 'workers' | 'warmUp' | 'samples'>>;

/** Settings for a scenario in which every client gets everything. */
export function withoutTopics({ topics: _topics, ...settings }: Settings): Settings {
  return settings;
}

/** The stream that the user asked for, with a scenario's own defaults. */
export function steadyOf(settings: Settings, defaults: Defaults = {}): Steady {
  const { clients = 5000, pods = 1, rate = 25, seconds = 10, payload = 200, topics, ...rest } = defaults;
  const wanted = settings.topics ?? topics;
  return {
    ...rest,
    clients: settings.clients ?? clients,
    pods: settings.pods ?? pods,
    rate: settings.rate ?? rate,
    seconds: settings.seconds ?? seconds,
    payload: settings.payload ?? payload,
    workers: settings.workers ?? 2,
    warmUp: settings.warmUp ?? WARM_UP_SIGNALS,
    ...(wanted && { topics: wanted }),
  };
}

/** Where one run writes its single latencies, if the user wants them. @param row - scenario and server */
export function samplesOf({ samples }: Settings, row: string, run: number): { samples?: string } {
  return samples === undefined ? {} : { samples: join(samples, `${row}-${run}`) };
}

/** A stream as the settings of a scenario's result. */
export function settingsOf(steady: Steady, runs: number): ScenarioResult['settings'] {
  const { clients, pods, rate, seconds, payload, topics, workers, warmUp: signals } = steady;
  return {
    clients,
    ...(topics && { symbols: topics.symbols, 'symbols per client': topics.perClient }),
    pods,
    'signals/s': rate,
    seconds,
    'payload bytes': payload,
    runs,
    'worker processes': workers,
    'warm-up signals': signals,
  };
}
