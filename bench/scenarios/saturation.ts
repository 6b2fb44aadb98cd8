import type { FleetReport } from '../load/fleet-types.js';
import type { Run, Table } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { publishTo, withFleet } from '../harness/fleet.js';
import { UsageMeter, interleave, rowsOf, withServers } from '../harness/harness.js';
import { ALL_ROWS } from '../harness/steady-scenario.js';
import {
  STEADY_COLUMNS,
  type Steady,
  WARM_UP_SECONDS,
  runOf,
  settingsOf,
  steadyOf,
  withoutTopics,
} from '../harness/steady.js';
import { rowOf } from '../harness/summary.js';
import { warmUp } from '../harness/warm-up.js';

/** A rate is sustained if p99 stays below this, in ms. */
const P99_LIMIT_MS = 250;
/** What is not there this long after the last signal of a step was not keeping up. */
const STEP_LIMIT_MS = 3000;
/** Each step has about this much more than the one before. */
const STEP_FACTOR = Math.SQRT2;
const MOST_STEPS = 14;
/** The delay of the loop is not asked for: that would collect garbage between two steps. */
const COLUMNS = STEADY_COLUMNS.filter((column) => column !== 'loopDelayP999');

/** One rate, and how it went. */
interface Step {
  readonly rate: number;
  readonly run: Run;
  readonly sustained: boolean;
}

/** The rates that are tried, in rising order, in steps of a whole number of signals. */
export function ratesFrom(first: number): number[] {
  return Array.from({ length: MOST_STEPS }, (_, step) => Math.round(first * STEP_FACTOR ** step));
}

/**
 * Raises the rate until the server, or the machine, does not keep up. A rate that fails is tried once more, with a fresh
 * server and fresh clients: those that were cut are gone, and one hiccup of the machine must not end the climb.
 */
async function climb(name: ServerName, steady: Steady, progress: Progress): Promise<Step[]> {
  const rates = ratesFrom(steady.rate);
  const steps: Step[] = [];
  for (let tried = false; steps.length < rates.length; tried = true) {
    const part = await climbOn(name, { steady, rates, first: steps.length }, progress);
    const sustained = part.filter((step) => step.sustained);
    steps.push(...sustained);
    const failed = part.find((step) => !step.sustained);
    if (failed === undefined) break;
    if (tried && sustained.length === 0) {
      steps.push(failed);
      break;
    }
  }
  return steps;
}

/** Rates to climb, from the one at the place `first`. */
interface Climb {
  readonly steady: Steady;
  readonly rates: readonly number[];
  readonly first: number;
}

/** Climbs with one server from one of the rates until one fails. */
async function climbOn(name: ServerName, { steady, rates, first }: Climb, progress: Progress): Promise<Step[]> {
  const { clients, workers, seconds, payload } = steady;
  const most = rates.slice(first).reduce((sum, rate) => sum + rate * (WARM_UP_SECONDS + seconds), 0);
  return withServers(name, { pods: steady.pods }, async (bed) => {
    await warmUp(bed, steady.warmUp);
    const plan = { ports: bed.servers.map(({ port }) => port), clients, workers, signals: most };
    return withFleet(plan, progress, async (fleet) => {
      const steps: Step[] = [];
      let from = 0;
      for (const [index, rate] of rates.slice(first).entries()) {
        const signals = rate * (WARM_UP_SECONDS + seconds);
        await fleet.begin(from + rate * WARM_UP_SECONDS);
        const meter = new UsageMeter(bed);
        const published = await publishTo(fleet, {
          redisUrl: bed.redis.url,
          from,
          signals,
          rate,
          payload,
          onProgress: (part) => progress.within((first + index + part) / rates.length, { 'signals/s': rate }),
        });
        from += signals;
        await fleet.settled(from, STEP_LIMIT_MS);
        const usage = meter.end();
        const report = await fleet.report(from);
        const run = { ...runOf(report, usage, published), latency: report.latency, spread: report.spread };
        const sustained = isSustained(report, run);
        steps.push({ rate, run, sustained });
        if (!sustained) break;
      }
      return steps;
    });
  });
}

function isSustained({ lost, dropped }: FleetReport, { figures }: Run): boolean {
  return lost === 0 && dropped === 0 && (figures.p99 ?? Infinity) < P99_LIMIT_MS;
}

/** The highest rate that one server on one machine sustains. */
export const saturation: Scenario = {
  name: 'saturation',
  title: 'the rate is raised step by step until latency breaks away: the sustainable rate',
  async run(settings, progress) {
    const { runs = 3 } = settings;
    const steady = steadyOf(withoutTopics(settings), { clients: 2000, rate: 25, seconds: 3 });
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['raw', 'stock-uws']);
    progress.steps(names.length * runs);
    const climbs = new Map<number, Map<ServerName, Run[]>>();
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: async (name) => {
        const steps = await climb(name, steady, progress);
        for (const { rate, run } of steps) {
          const atRate = climbs.get(rate) ?? new Map<ServerName, Run[]>();
          climbs.set(rate, atRate.set(name, [...(atRate.get(name) ?? []), run]));
        }
        const best = steps.findLast(({ sustained }) => sustained);
        const { load, limitedBy } = steps.at(-1)?.run ?? {};
        return {
          figures: {
            sustainableRate: best?.rate ?? 0,
            deliveriesPerSecond: (best?.rate ?? 0) * steady.clients,
          },
          // What it was that gave out: that of the first step too many.
          ...(load && { load }),
          ...(limitedBy && { limitedBy }),
        };
      },
    });
    const tables = [...climbs]
      .toSorted(([a], [b]) => a - b)
      .map(([rate, servers]): Table => {
        const atRate = [...servers].map(([name, measured]) => rowOf(name, measured));
        return { point: `${rate} signals/s`, x: rate, columns: COLUMNS, rows: atRate };
      });
    return {
      name: saturation.name,
      title: saturation.title,
      settings: { ...settingsOf(steady, runs), 'signals/s': `${steady.rate} and up` },
      axis: 'signals/s',
      overloads: true,
      tables: [{ point: '', columns: ['sustainableRate', 'deliveriesPerSecond'], rows }, ...tables],
      notes: [
        ...notes,
        `Sustained means: p99 below ${P99_LIMIT_MS} ms, nothing lost, and everything there ${STEP_LIMIT_MS / 1000} s after the last signal of a step. Steps are a factor of 1.41 apart, so two servers whose rates differ by one step may be closer than that. A server's last step is the first that it did not sustain when it was tried again too; later steps have fewer rows.`,
        'The clients share the machine with the server. Beyond the knee it is often both of them that are short of processor time; "limited by" says who was busiest.',
      ],
    };
  },
};
