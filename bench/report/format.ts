import { FIGURES, type FigureName, type Row, type ScenarioResult, type Summary, type Table } from '../result.js';

/** Text of a number with a fixed count of decimals and groups of thousands; 0.004 with two decimals is `<0.01`, not `0`. */
export function number(value: number, digits: number): string {
  const smallest = 10 ** -digits;
  if (value > 0 && value < smallest / 2) return `<${smallest.toFixed(digits)}`;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Text of a figure's value, without its unit; large values have fewer decimals, since nothing is measured to six digits. */
export function figureText(name: FigureName, value: number): string {
  const most = value >= 1000 ? 0 : value >= 100 ? 1 : 3;
  return number(value, Math.min(FIGURES[name].digits, most));
}

/** The range of a figure over the runs, such as `19.9–21.0`; empty if there was one run or all runs agree. */
export function rangeText(name: FigureName, { min, max }: Summary): string {
  const texts = [figureText(name, min), figureText(name, max)];
  // Behind a dash a minus is hard to see.
  return texts[0] === texts[1] ? '' : texts.join(min < 0 ? ' to ' : '–');
}

/** A ratio with the digits that mean something: `1.04×`, `12×`. */
export function ratioText(ratio: number): string {
  return `${ratio >= 10 ? number(ratio, 0) : number(ratio, 2)}×`;
}

/** A column's heading: what it is and its unit. */
export function columnTitle(name: FigureName): string {
  const { title, unit } = FIGURES[name];
  return unit.startsWith('/') ? `${title}${unit}` : `${title} ${unit}`;
}

/**
 * The figure of a row over that of the table's control row, which is `raw` if the table names no other; `undefined` for that
 * row itself and where one of both is missing or 0.
 */
export function ratioToControl(table: Table, row: Row, name: FigureName): number | undefined {
  const control = table.rows.find(({ server }) => server === (table.control ?? 'raw'));
  const base = control?.figures[name]?.median ?? 0;
  const own = row.figures[name]?.median ?? 0;
  return row === control || base <= 0 || own <= 0 ? undefined : own / base;
}

/** What limited the runs of a row, such as `server` or `generator in 2 of 3`; empty if no run says. */
export function limitText({ runs }: Row): string {
  const limits = runs.flatMap(({ limitedBy }) => (limitedBy === undefined ? [] : [limitedBy]));
  const counted = [...new Set(limits)].map((limit) => ({ limit, count: limits.filter((one) => one === limit).length }));
  const [only, ...others] = counted.toSorted((a, b) => b.count - a.count);
  if (only === undefined) return '';
  if (others.length === 0) return only.limit;
  return counted.map(({ limit, count }) => `${limit} in ${count} of ${limits.length}`).join(', ');
}

function top(values: readonly number[]): string {
  return number(Math.max(...values), 2);
}

/** The busiest run's load of a row in cores, such as `server 0.62, generator 0.71`; empty if no run says. */
export function loadText({ runs }: Row): string {
  const loads = runs.flatMap(({ load }) => (load === undefined ? [] : [load]));
  if (loads.length === 0) return '';
  const redis = loads.flatMap((load) => (load.redis === undefined ? [] : [load.redis]));
  const parts = [
    `server ${top(loads.map(({ server }) => server))}`,
    `generator ${top(loads.map(({ generator }) => generator))}`,
    ...(redis.length === 0 ? [] : [`redis ${top(redis)}`]),
  ];
  return parts.join(', ');
}

/** Faults that a client can see, in the order in which they are told. */
const FAULTS = { lost: 'lost', twice: 'twice', outOfOrder: 'out of order', dropped: 'dropped' } as const;

/**
 * What went wrong in a row's runs together, such as `3 lost, 1 twice`; empty if nothing did.
 *
 * @param overloaded - leaves out what an overloaded server may do
 */
export function faultText({ runs }: Row, overloaded = false): string {
  const parts = Object.entries(FAULTS).map(([name, text]) => {
    if (overloaded && (name === 'lost' || name === 'dropped')) return '';
    const total = runs.reduce((sum, { counts }) => sum + (counts?.[name as keyof typeof FAULTS] ?? 0), 0);
    return total === 0 ? '' : `${number(total, 0)} ${text}`;
  });
  return parts.filter((part) => part !== '').join(', ');
}

/** Deliveries of a row's runs: `all 525,000`, or what went wrong; empty if none were due. */
export function countsText(row: Row): string {
  const faults = faultText(row);
  if (faults !== '') return faults;
  const counts = row.runs.flatMap((run) => (run.counts === undefined ? [] : [run.counts]));
  const received = counts.reduce((sum, one) => sum + one.received, 0);
  return received === 0 ? '' : `all ${number(received, 0)}`;
}

/** The columns of some tables that any of their rows has a value for. */
export function filledColumns(tables: readonly Table[]): FigureName[] {
  const rows = tables.flatMap((table) => table.rows);
  return [...new Set(tables.flatMap(({ columns }) => columns))].filter((name) =>
    rows.some(({ figures }) => figures[name] !== undefined),
  );
}

/** One reason not to trust rows, and which rows those are. */
export interface Doubt {
  readonly text: string;
  /** `200 signals/s, raw`; or `every row`. */
  readonly rows: string;
}

/** Rows that are named one by one; of more the rest is only counted. */
const MOST_NAMED = 4;

/** The marks of some tables: each sentence once, with the rows that it stands for. */
export function doubtsOf(tables: readonly Table[]): Doubt[] {
  const rows = tables.flatMap(({ point, rows: all }) =>
    all.map(({ server, marks }) => ({ name: [point, server].filter((part) => part !== '').join(', '), marks })),
  );
  return [...new Set(rows.flatMap(({ marks }) => marks))].map((text) => {
    const names = rows.filter(({ marks }) => marks.includes(text)).map(({ name }) => name);
    const rest = names.length - MOST_NAMED;
    if (names.length === rows.length && rows.length > 1) return { text, rows: 'every row' };
    const more = rest > 0 ? [`${rest} more`] : [];
    return { text, rows: [...names.slice(0, MOST_NAMED), ...more].join('; ') };
  });
}

/** Settings in one line: `clients 5,000 · signals/s 25`. */
export function settingsText(settings: ScenarioResult['settings']): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? value.toLocaleString('en-US') : value}`)
    .join(' · ');
}

/** A text for a file's name: small letters, digits and hyphens. */
export function slug(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}
