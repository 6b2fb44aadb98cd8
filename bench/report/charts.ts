import { type BenchResult, FIGURES, type FigureName, type Row, type ScenarioResult, type Table } from '../result.js';
import { type Bar, drawBars } from './bars.js';
import { type Look, looksOf } from './colours.js';
import type { Picture } from './drawing.js';
import { columnTitle, figureText, ratioText, ratioToControl, rangeText, slug } from './format.js';
import { percentileCurve } from './histogram.js';
import { type Axis, type Line, PERCENTILE_TICKS, drawLines, percentileLabel } from './lines.js';

const PERCENTILE: Axis = { name: 'percentile', type: 'log', ticks: PERCENTILE_TICKS, label: percentileLabel };
const MILLISECONDS: Axis = { name: 'ms', type: 'log' };

/** Figures that a table says in bars; latencies have curves instead. */
const BARS: readonly FigureName[] = [
  'heapPerConnection',
  'rssPerConnection',
  'connectsPerSecond',
  'requestsPerSecond',
  'appendsPerSecond',
  'readBackPerSecond',
  'addedMs',
  'backSeconds',
  'sustainableRate',
  'cpuPerConnect',
  'cpuPerDelivery',
];

/** Figures that are drawn over the points of a curve, such as a rate that rises. */
const CURVES: readonly FigureName[] = ['p50', 'p99', 'deliveriesPerSecond', 'cpuPerDelivery'];

/** A line through fewer seconds says nothing. */
const FEWEST_SECONDS = 4;

type Looks = ReadonlyMap<string, Look>;

function lookOf(looks: Looks, server: string): Look {
  return looks.get(server) ?? { variable: '--ink', symbol: 'circle' };
}

function lineOf(looks: Looks, row: Row, drawn: Pick<Line, 'points' | 'symbols'>): Line {
  return { server: row.server, look: lookOf(looks, row.server), marked: row.marks.length > 0, ...drawn };
}

/** A table that is drawn. */
interface Subject {
  readonly looks: Looks;
  /** First part of the names of its pictures. */
  readonly name: string;
  readonly table: Table;
  /** Whether its pictures stand side by side. */
  readonly half: boolean;
}

function percentilePicture({ looks, name, table, half }: Subject, kind: 'latency' | 'spread'): Picture[] {
  const lines = table.rows.flatMap((row) => {
    const text = row[kind];
    if (text === undefined) return [];
    const points = percentileCurve(text).map(({ inverse, value }) => [inverse, Math.max(value, 0.001)] as const);
    return points.length > 1 ? [lineOf(looks, row, { points, symbols: false })] : [];
  });
  if (lines.length === 0) return [];
  const title =
    kind === 'latency'
      ? 'latency by percentile, all runs merged'
      : 'spread from the first client that has a signal to the last, by percentile of signals';
  const x = kind === 'latency' ? PERCENTILE : { ...PERCENTILE, name: 'percentile of signals' };
  return [drawLines({ name: `${name}-${kind}-percentiles`, title, half }, { x, y: MILLISECONDS }, lines)];
}

/** The run whose p99 is the middle one, so that the picture is of a run as it was and not of an average that never was. */
function typicalRun({ runs }: Row): Row['runs'][number] | undefined {
  const timed = runs.filter(({ timeline }) => timeline !== undefined && timeline.length > 1);
  return timed.toSorted((a, b) => (a.figures.p99 ?? 0) - (b.figures.p99 ?? 0))[Math.floor((timed.length - 1) / 2)];
}

function timelinePicture({ looks, name, table, half }: Subject): Picture[] {
  const lines = table.rows.flatMap((row) => {
    const points = (typicalRun(row)?.timeline ?? [])
      .filter(({ deliveries }) => deliveries > 0)
      .map(({ at, p99 }) => [at, Math.max(p99, 0.001)] as const);
    return points.length >= FEWEST_SECONDS ? [lineOf(looks, row, { points, symbols: points.length <= 60 })] : [];
  });
  if (lines.length === 0) return [];
  const title = 'p99 of each second, in the run with the middle p99';
  const axes = { x: { name: 'seconds', type: 'value' }, y: MILLISECONDS } as const;
  return [drawLines({ name: `${name}-timeline`, title, half }, axes, lines)];
}

function barPictures({ looks, name, table }: Subject): Picture[] {
  return table.columns
    .filter((figure) => BARS.includes(figure))
    .flatMap((figure) => {
      const bars = table.rows.flatMap((row): Bar[] => {
        const summary = row.figures[figure];
        if (summary === undefined) return [];
        const ratio = ratioToControl(table, row, figure);
        const parts = [figureText(figure, summary.median), ratio === undefined ? '' : ratioText(ratio)];
        const range = rangeText(figure, summary);
        const label = parts.filter((part) => part !== '').join(' · ') + (range === '' ? '' : ` (${range})`);
        const { server, marks } = row;
        return [
          { server, look: lookOf(looks, server), value: Math.max(0, summary.median), label, marked: marks.length > 0 },
        ];
      });
      if (bars.every(({ value }) => value === 0)) return [];
      const caption = `${columnTitle(figure)}, ${FIGURES[figure].better} is better`;
      return [drawBars(`${name}-${slug(figure)}`, caption, bars)];
    });
}

function curvePictures(looks: Looks, scenario: ScenarioResult, axis: string): Picture[] {
  const tables = scenario.tables.filter(({ x }) => x !== undefined).toSorted((a, b) => (a.x ?? 0) - (b.x ?? 0));
  const servers = [...new Set(tables.flatMap(({ rows }) => rows.map(({ server }) => server)))];
  const figures = CURVES.filter((figure) => tables.some(({ columns }) => columns.includes(figure)));
  const xs = tables.map(({ x }) => x ?? 0);
  // A rate that doubles from step to step needs a log axis; 1, 2, 4 pods do too.
  const log = Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) >= 4;
  return figures.flatMap((figure) => {
    const lines = servers.flatMap((server) => {
      const rows = tables.flatMap(({ x, rows: all }) =>
        all.filter((row) => row.server === server).map((row) => ({ x: x ?? 0, row })),
      );
      const shown = rows.flatMap(({ x, row }) => {
        const value = row.figures[figure]?.median ?? 0;
        return value > 0 ? [{ point: [x, value] as const, marked: row.marks.length > 0 }] : [];
      });
      if (shown.length < 2) return [];
      const hollow = new Set(shown.flatMap(({ marked }, i) => (marked ? [i] : [])));
      const points = shown.map(({ point }) => point);
      return [{ server, look: lookOf(looks, server), points, marked: hollow.size > 0, hollow, symbols: true }];
    });
    if (lines.length === 0) return [];
    const { title } = FIGURES[figure];
    const name = `${slug(scenario.name)}-${slug(figure)}`;
    const y: Axis = { name: columnTitle(figure), type: 'log' };
    const x: Axis = { name: axis, type: log ? 'log' : 'value', ticks: xs };
    return [drawLines({ name, title: `${title} over ${axis}`, half: true }, { x, y }, lines)];
  });
}

/** The pictures of a scenario. Those of a curve (tables with an `x`) are over its points, the others one set a table. */
function picturesOf(looks: Looks, scenario: ScenarioResult): Picture[] {
  const curve = scenario.axis !== undefined && scenario.tables.filter(({ x }) => x !== undefined).length > 1;
  const single = curve ? scenario.tables.filter(({ x }) => x === undefined) : scenario.tables;
  const half = single.length > 1;
  const pictures = single.flatMap((table) => {
    const subject = { looks, name: slug(`${scenario.name} ${table.point}`), table, half };
    const drawn = [
      ...percentilePicture(subject, 'latency'),
      ...percentilePicture(subject, 'spread'),
      ...timelinePicture(subject),
      ...barPictures(subject),
    ];
    return table.point === '' ? drawn : drawn.map((one) => ({ ...one, title: `${table.point}: ${one.title}` }));
  });
  return [...pictures, ...(curve ? curvePictures(looks, scenario, scenario.axis ?? '') : [])];
}

/** The pictures of a result, by the name of the scenario. */
export function drawPictures(result: BenchResult): ReadonlyMap<string, readonly Picture[]> {
  const looks = looksOf(result);
  return new Map(result.scenarios.map((scenario) => [scenario.name, picturesOf(looks, scenario)]));
}
