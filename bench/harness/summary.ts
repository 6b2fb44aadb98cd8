import { type Histogram, decodeFromCompressedBase64, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import {
  type Counts,
  FIGURES,
  type FigureName,
  type Limit,
  type Load,
  type Row,
  type Run,
  type Summary,
} from '../result.js';

/** A process this busy (in cores) has no room left. */
const BUSY_PROCESS = 0.8;
/** The machine as a whole, as a share of its cores. */
const BUSY_MACHINE = 0.9;
/** Fewer runs say nothing of how much they differ. */
const RUNS_WANTED = 3;
/** How far runs may lie apart, as a share of their median. */
const SPREAD_ALLOWED = 0.2;

/** What a row is judged by. Tails beyond p99 and shares differ from run to run on any machine; they are shown with their range. */
const MAIN_FIGURES: readonly FigureName[] = [
  'p50',
  'p99',
  'cpuPerDelivery',
  'deliveriesPerSecond',
  'sustainableRate',
  'connectsPerSecond',
  'cpuPerConnect',
  'cpuPerHeartbeat',
  'heapPerConnection',
  'rssPerConnection',
  'backSeconds',
  'requestsPerSecond',
  'appendsPerSecond',
  'readBackPerSecond',
];

/** What kept a run from going faster: the busiest of the processes above 80 % of a core, else a machine above 90 %. */
export function limitedBy({ server, generator, redis = 0, machine }: Load): Limit {
  const busiest = Math.max(server, generator, redis);
  if (busiest > BUSY_PROCESS) {
    // A generator that is as busy as the server may be what holds the server up.
    if (busiest === generator) return 'generator';
    return busiest === server ? 'server' : 'redis';
  }
  return machine > BUSY_MACHINE ? 'machine' : 'none';
}

/** Median, least and most; the median of an even number of values is the middle of the two. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const [low = NaN, high = NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return { median: (low + high) / 2, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

/** Adds histograms up. @returns HdrHistogram V2, compressed, base64, as what came in; `undefined` of nothing */
export function mergeHistograms(encoded: readonly string[]): string | undefined {
  const [first, ...others] = encoded;
  if (first === undefined || others.length === 0) return first;
  const sum: Histogram = decodeFromCompressedBase64(first);
  for (const other of others) sum.add(decodeFromCompressedBase64(other));
  return encodeIntoCompressedBase64(sum);
}

/** The latency figures of a run (ms) out of its histogram (µs). */
export function latencyFigures(encoded: string): Partial<Record<'p50' | 'p90' | 'p99' | 'p999' | 'max', number>> {
  const histogram = decodeFromCompressedBase64(encoded);
  // A server that delivered nothing in time has no latency, rather than none.
  if (histogram.totalCount === 0) return {};
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000;
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.maxValue / 1000 };
}

/** The spread figures of a run (ms) out of its histogram (µs). */
export function spreadFigures(encoded: string): Partial<Record<'spreadP50' | 'spreadP99', number>> {
  const { p50, p99 } = latencyFigures(encoded);
  if (p50 === undefined || p99 === undefined) return {};
  return { spreadP50: p50, spreadP99: p99 };
}

/** A publisher that is later than both of these is worth a word: ms, and the share of the latency that it makes up. */
const LATE_MS = 2;
const LATE_SHARE = 0.1;

/** Why a row is not clean, in whole sentences. */
export function marksOf(runs: readonly Run[]): string[] {
  const marks: string[] = [];
  const generator = Math.max(0, ...runs.map(({ load }) => load?.generator ?? 0));
  if (generator > BUSY_PROCESS) {
    marks.push(
      `The load generator was busy (${generator.toFixed(2)} of a core), so it may have limited what was measured.`,
    );
  }
  const late = Math.max(
    0,
    ...runs.map(({ publisherLate = 0, figures: { p99 = 0 } }) =>
      publisherLate > LATE_SHARE * p99 ? publisherLate : 0,
    ),
  );
  if (late > LATE_MS) {
    marks.push(`The publisher was late by ${late.toFixed(1)} ms (p99), which is in the latencies.`);
  }
  const backlogs = runs.flatMap(({ backlog }) => backlog ?? []);
  if (backlogs.length > 0) {
    const seconds = Math.round(Math.max(...backlogs.map((backlog) => backlog.seconds)));
    const end = backlogs.some(({ cutShort }) => cutShort)
      ? ', and then were not waited for any longer: what had not come counts as lost'
      : '';
    marks.push(`It did not keep up: deliveries came for up to ${seconds} s after the last signal${end}.`);
  }
  const sum = (key: keyof Counts): number => runs.reduce((total, { counts }) => total + (counts?.[key] ?? 0), 0);
  for (const [key, text] of [
    ['dropped', 'connections were dropped'],
    ['lost', 'deliveries were lost'],
    ['twice', 'deliveries came twice'],
    ['outOfOrder', 'deliveries came out of order'],
  ] as const) {
    const count = sum(key);
    if (count > 0) marks.push(`${count} ${text}.`);
  }
  const apart = Object.entries(figuresOf(runs)).flatMap(([name, { median, min, max }]) => {
    const spread = (max - min) / Math.abs(median);
    const { title } = FIGURES[name as FigureName];
    return MAIN_FIGURES.includes(name as FigureName) && spread > SPREAD_ALLOWED
      ? [`${title} by ${Math.round(spread * 100)} %`]
      : [];
  });
  if (apart.length > 0) marks.push(`The runs disagree: ${apart.join(', ')}.`);
  if (runs.length < RUNS_WANTED) {
    marks.push(
      `There ${runs.length === 1 ? 'was 1 run' : `were ${runs.length} runs`}; ${RUNS_WANTED} are needed to trust a median.`,
    );
  }
  return marks;
}

function figuresOf(runs: readonly Run[]): Row['figures'] {
  const names = Object.keys(FIGURES) as FigureName[];
  return Object.fromEntries(
    names.flatMap((name) => {
      const values = runs.flatMap(({ figures }) => figures[name] ?? []);
      return values.length === 0 ? [] : [[name, summarize(values)]];
    }),
  );
}

/**
 * Sums the runs of one server up.
 *
 * @param failures - whole sentences on runs that could not be finished
 */
export function rowOf(server: string, runs: readonly Run[], failures: readonly string[] = []): Row {
  const latency = mergeHistograms(runs.flatMap((run) => run.latency ?? []));
  const spread = mergeHistograms(runs.flatMap((run) => run.spread ?? []));
  return {
    server,
    runs,
    figures: figuresOf(runs),
    ...(latency === undefined ? {} : { latency }),
    ...(spread === undefined ? {} : { spread }),
    marks: [...failures, ...marksOf(runs)],
  };
}
