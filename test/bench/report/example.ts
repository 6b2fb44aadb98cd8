import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import type { BenchResult, FigureName, Row, Run, ScenarioResult, Summary, Table } from '../../../bench/result.js';

/** Numbers from 0 to 1, the same ones each time (Mulberry32), so that a picture looks the same twice. */
function* randomNumbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Latencies with a median and a long tail, in the encoding of a result. */
export function latencies(medianMs: number, tail: number, count = 20_000, seed = 7): string {
  const random = randomNumbers(seed);
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000 });
  for (let i = 0; i < count; i++) {
    const normal = Math.sqrt(-2 * Math.log(1 - random.next().value)) * Math.cos(2 * Math.PI * random.next().value);
    histogram.recordValue(Math.max(1, Math.round(medianMs * 1000 * Math.exp(tail * normal))));
  }
  return encodeIntoCompressedBase64(histogram);
}

/** The middle one and the range of some values. */
export function summary(...values: number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? NaN, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

/** A row with three runs of the figures that it is given: a median each, with a range of 3 % around it. */
export function row(
  server: string,
  figures: Partial<Record<FigureName, number>>,
  more: Partial<Row> & { readonly run?: Partial<Run> } = {},
): Row {
  const { run, ...rest } = more;
  const runs = [0.97, 1, 1.03].map((factor) => ({
    figures: Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, value * factor])),
    limitedBy: 'none' as const,
    ...run,
  }));
  return {
    server,
    runs,
    figures: Object.fromEntries(
      Object.keys(figures).map((name) => [
        name,
        summary(...runs.map((one) => (one.figures as Record<string, number>)[name] ?? NaN)),
      ]),
    ),
    marks: [],
    ...rest,
  };
}

/** A table of one setting. */
export function table(columns: FigureName[], rows: Row[], more: Partial<Table> = {}): Table {
  return { point: '', columns, rows, ...more };
}

/** A scenario with one table or more. */
export function scenario(name: string, tables: Table[], more: Partial<ScenarioResult> = {}): ScenarioResult {
  return { name, title: `What ${name} measures`, settings: { clients: 1000, runs: 3 }, tables, notes: [], ...more };
}

/** A result that holds some scenarios. */
export function result(...scenarios: ScenarioResult[]): BenchResult {
  return {
    schema: 1,
    startedAt: '2026-01-02T03:04:05.000Z',
    seconds: 118,
    command: '--scenario fanout --clients 1000',
    machine: { cpu: 'Example CPU at 3 GHz', cores: 2, memoryGiB: 8, kernel: 'Linux 6.1' },
    versions: { node: '20.20.0', 'uWebSockets.js': '20.51.4', commit: 'abc1234' },
    scenarios,
  };
}

function timeline(medianMs: number, seed: number): Run['timeline'] {
  const random = randomNumbers(seed);
  return Array.from({ length: 20 }, (_, at) => {
    const p50 = medianMs * (0.9 + 0.2 * random.next().value);
    const p99 = p50 * (2 + 2 * random.next().value);
    return { at, p50, p99, max: p99 * 1.4, deliveries: 25_000 };
  });
}

const SPEEDS = { gateway: 20, raw: 18, 'stock-uws': 23, 'stock-ws': 41, python: 160 } as const;

/** A fan-out of five servers, with curves; the row of `python` is marked. */
export function fanoutExample(): ScenarioResult {
  const rows = Object.entries(SPEEDS).map(([server, p50], i) =>
    row(
      server,
      { p50, p99: p50 * 3.9, p999: p50 * 5.1, max: p50 * 7, cpuPerDelivery: p50 / 3, deliveriesPerSecond: 25_000 },
      {
        latency: latencies(p50, 0.5, 20_000, i + 1),
        spread: latencies(p50 * 2, 0.3, 500, i + 1),
        run: {
          timeline: timeline(p50, i + 1) ?? [],
          counts: { expected: 500_000, received: 500_000, lost: 0, twice: 0, outOfOrder: 0, dropped: 0 },
          load: { server: 0.62, generator: 0.71, machine: 0.7 },
          limitedBy: server === 'python' ? 'server' : 'none',
        },
        marks: server === 'python' ? ['Its runs disagree by 24 % in p99 (140 to 178 ms).'] : [],
      },
    ),
  );
  return scenario('fanout', [table(['p50', 'p99', 'p999', 'max', 'cpuPerDelivery', 'deliveriesPerSecond'], rows)], {
    title: 'Signals at a steady rate to every client',
    settings: { clients: 1000, 'signals/s': 25, seconds: 20, runs: 3, workers: 1 },
    notes: ['python-socketio is not installed on another machine.'],
  });
}

/** A scenario whose tables make a curve: the rate rises until the latency does. */
export function saturationExample(): ScenarioResult {
  const tables = [25, 50, 100, 200, 400, 800].map((rate) =>
    table(
      ['p50', 'p99', 'deliveriesPerSecond', 'cpuPerDelivery'],
      (['gateway', 'raw', 'stock-ws'] as const).map((server) => {
        const knee = { gateway: 700, raw: 900, 'stock-ws': 150 }[server];
        const p50 = SPEEDS[server] * (rate < knee ? 1 + rate / knee : 40);
        return row(server, {
          p50,
          p99: p50 * 4,
          deliveriesPerSecond: Math.min(rate, knee) * 1000,
          cpuPerDelivery: 6 / Math.sqrt(rate / 25),
        });
      }),
      { point: `${rate} signals/s`, x: rate },
    ),
  );
  return scenario('saturation', tables, { title: 'The rate is raised until latency gives', axis: 'signals/s' });
}

/** Scenarios whose figures are bars. */
export function barExamples(): ScenarioResult[] {
  return [
    scenario('memory', [
      table(
        ['heapPerConnection', 'rssPerConnection'],
        [
          row('gateway', { heapPerConnection: 6.4, rssPerConnection: 12.2 }),
          row('raw', { heapPerConnection: 0.7, rssPerConnection: 2.9 }),
          row('stock-uws', { heapPerConnection: 7.6, rssPerConnection: 14.8 }),
        ],
      ),
    ]),
    scenario('connect', [
      table(
        ['connectsPerSecond'],
        [row('gateway', { connectsPerSecond: 6900 }), row('raw', { connectsPerSecond: 21_900 })],
      ),
    ]),
    scenario('ingest', [
      table(
        ['appendsPerSecond', 'readBackPerSecond', 'addedMs'],
        [row('gateway', { appendsPerSecond: 31_000, readBackPerSecond: 42_000, addedMs: 0.182 })],
      ),
    ]),
  ];
}
