import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { type BenchResult, FIGURES, type FigureName, type Row, type ScenarioResult, type Table } from '../result.js';
import { rowName } from './verdict.js';

/** What is compared: the gateway's ratio to a control row (that of the medians), and the range that the runs allow. */
interface Stand {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A figure that both results have. */
export interface Move {
  /** Such as `fanout, 200 signals/s, p99 to raw`. */
  readonly what: string;
  /** The unit of `from` and `to`: `×` for a ratio. */
  readonly unit: string;
  readonly from: number;
  readonly to: number;
  /** How much worse it became: 0.3 is a latency 1.3 times as high or a rate 1.3 times lower; below 0 it became better. */
  readonly worse: number;
  /** Whether the ranges of the runs are apart, so that it is more than noise. */
  readonly apart: boolean;
  /** Whether a row behind it is marked in one of the results. */
  readonly marked: boolean;
  /** Whether it is worse than the tolerance allows. */
  readonly failed: boolean;
}

/** What `--baseline` found. */
export interface Comparison {
  /** All figures that were compared, the worst first. */
  readonly moves: readonly Move[];
  /** Sentences about what could not be compared, and why. */
  readonly notes: readonly string[];
  /** Whether nothing is past the tolerance, and something was compared at all. */
  readonly ok: boolean;
}

/**
 * In the tables, but never judged: a few values of a whole run, which come out twice as high for no reason, and the share of
 * a core, which follows from cost and rate.
 */
const NOT_JUDGED: ReadonlySet<FigureName> = new Set<FigureName>([
  'p999',
  'max',
  'spreadP99',
  'loopDelayP999',
  'loopDelayMax',
  'cpuShare',
]);

/** Compared as they are: a faster machine does not change them, and the floor of an empty connection is too near to 0. */
const ABSOLUTE: ReadonlySet<FigureName> = new Set<FigureName>(['heapPerConnection', 'rssPerConnection']);

/**
 * Reads a result.
 *
 * @throws Error that names the file if it cannot be read or is not a result of this bench
 */
export function readResult(file: string): BenchResult {
  let value: Partial<BenchResult> | null;
  try {
    value = JSON.parse(readFileSync(file, 'utf8')) as Partial<BenchResult> | null;
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (value?.schema !== 1 || !Array.isArray(value.scenarios)) throw new Error(`${file} is not a result of this bench`);
  return value as BenchResult;
}

function standOf(name: FigureName, gateway: Row, control: Row | undefined): Stand | undefined {
  const own = gateway.figures[name];
  if (own === undefined || own.min <= 0) return undefined;
  if (ABSOLUTE.has(name)) return own;
  const base = control?.figures[name];
  if (base === undefined || base.min <= 0) return undefined;
  return { median: own.median / base.median, min: own.min / base.max, max: own.max / base.min };
}

/** The same thing in two results. */
interface Pair<T> {
  readonly before: T;
  readonly now: T;
}

/** The row to compare with: `raw`, or the first control row that both have where nothing can be `raw`. */
function controlOf(before: Table, now: Table): string | undefined {
  const names = before.rows
    .map(({ server }) => server)
    .filter((name) => name !== 'gateway' && now.rows.some(({ server }) => server === name));
  return names.includes('raw') ? 'raw' : names[0];
}

function rowOf(table: Table, server: string | undefined): Row | undefined {
  return table.rows.find((row) => row.server === server);
}

function compareTables(scenario: string, { before, now }: Pair<Table>, tolerance: number): (Move | string)[] {
  const control = controlOf(before, now);
  const [oldRow, newRow] = [rowOf(before, 'gateway'), rowOf(now, 'gateway')];
  const [oldBase, newBase] = [rowOf(before, control), rowOf(now, control)];
  const where = rowName(scenario, now.point, '');
  if (newRow === undefined || oldRow === undefined) return [`${where}: the gateway was not measured in both.`];
  const moves = now.columns.flatMap((name): Move[] => {
    if (NOT_JUDGED.has(name)) return [];
    const [from, to] = [standOf(name, oldRow, oldBase), standOf(name, newRow, newBase)];
    if (from === undefined || to === undefined) return [];
    const { better, title, unit } = FIGURES[name];
    const growth = better === 'lower' ? to.median / from.median : from.median / to.median;
    const worse = growth >= 1 ? growth - 1 : 1 - 1 / growth;
    const apart = to.min > from.max || to.max < from.min;
    const absolute = ABSOLUTE.has(name);
    const behind = absolute ? [oldRow, newRow] : [oldRow, newRow, oldBase, newBase];
    return [
      {
        what: `${rowName(scenario, now.point, title)}${absolute ? '' : ` to ${control}`}`,
        unit: absolute ? unit : '×',
        from: from.median,
        to: to.median,
        worse,
        apart,
        marked: behind.some((row) => (row?.marks.length ?? 0) > 0),
        failed: apart && worse > tolerance,
      },
    ];
  });
  if (moves.length > 0 || control !== undefined) return moves;
  return [`${where}: there is no control row that both have.`];
}

function compareScenarios(before: ScenarioResult, now: ScenarioResult, tolerance: number): (Move | string)[] {
  const settings = Object.keys({ ...before.settings, ...now.settings }).filter(
    (name) => !isDeepStrictEqual(before.settings[name], now.settings[name]),
  );
  if (settings.length > 0) {
    const texts = settings.map((name) => `${name} ${before.settings[name] ?? '–'} → ${now.settings[name] ?? '–'}`);
    return [`${now.name}: not comparable, the settings differ (${texts.join(', ')}).`];
  }
  const gone = before.tables.filter(({ point }) => !now.tables.some((table) => table.point === point));
  const found = now.tables.flatMap((table) => {
    const former = before.tables.find(({ point }) => point === table.point);
    return former === undefined
      ? [`${rowName(now.name, table.point, '')}: not in the baseline.`]
      : compareTables(now.name, { before: former, now: table }, tolerance);
  });
  return [...found, ...gone.map(({ point }) => `${rowName(now.name, point, '')}: only in the baseline.`)];
}

/**
 * Compares the gateway with the control row of its own run, then and now, so that a faster machine does not count; memory,
 * where it does not, is compared as it is. Figures of
 * marked rows are not judged – unless there are no others, since a comparison that judges nothing would always pass.
 *
 * @param tolerance - how much worse a ratio may become, as {@link Move.worse}
 */
export function compare(before: BenchResult, now: BenchResult, tolerance: number): Comparison {
  const found = now.scenarios.flatMap((scenario) => {
    const former = before.scenarios.find(({ name }) => name === scenario.name);
    return former === undefined
      ? [`${scenario.name}: not in the baseline.`]
      : compareScenarios(former, scenario, tolerance);
  });
  const all = found.filter((one) => typeof one !== 'string').toSorted((a, b) => b.worse - a.worse);
  const notes = found.filter((one) => typeof one === 'string');
  const clean = all.filter(({ marked }) => !marked);
  const judged = clean.length > 0 ? clean : all;
  if (clean.length === 0 && all.length > 0) notes.push('Every row is marked, so marked ones are judged too.');
  else if (clean.length < all.length) {
    notes.push(`Not comparable, since a row is marked: ${all.length - clean.length} of ${all.length} figures.`);
  }
  if (before.machine.cpu !== now.machine.cpu || before.machine.cores !== now.machine.cores) {
    notes.push(
      `Another machine: ${before.machine.cpu} × ${before.machine.cores} then. Ratios carry over only roughly.`,
    );
  }
  if (all.length === 0) notes.push('Nothing could be compared.');
  const moves = all.map((move) => ({ ...move, failed: move.failed && judged.includes(move) }));
  return { moves, notes, ok: moves.length > 0 && !moves.some(({ failed }) => failed) };
}
