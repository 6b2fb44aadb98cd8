import { styleText } from 'node:util';
import type { FigureName, Row, ScenarioResult, Table } from '../result.js';
import {
  columnTitle,
  countsText,
  doubtsOf,
  figureText,
  filledColumns,
  limitText,
  loadText,
  rangeText,
  ratioText,
  ratioToControl,
  settingsText,
} from './format.js';

/** How a table is drawn. */
export interface TableStyle {
  /** Characters a line may have; columns that do not fit go into a block below. */
  readonly width: number;
  /** Whether escape codes for colours may be used. */
  readonly colours: boolean;
}

/** One column: a heading and, for each row, a main line and a second one that says more. */
interface Column {
  readonly title: string;
  readonly cells: readonly (readonly [main: string, more: string])[];
}

const GAP = '   ';

function figureColumn(table: Table, name: FigureName): Column {
  const ratios = table.rows.map((row) => ratioToControl(table, row, name));
  const ratioWidth = Math.max(...ratios.map((ratio) => (ratio === undefined ? 0 : ratioText(ratio).length + 2)));
  return {
    title: columnTitle(name),
    cells: table.rows.map((row, i) => {
      const figure = row.figures[name];
      const ratio = ratios[i] === undefined ? '' : ratioText(ratios[i]);
      const value = figure === undefined ? '–' : figureText(name, figure.median);
      return [value + ratio.padStart(ratioWidth), figure === undefined ? '' : rangeText(name, figure)];
    }),
  };
}

function columnsOf(table: Table): Column[] {
  const said: Column[] = [
    { title: 'limited by', cells: table.rows.map((row) => [limitText(row), loadText(row)]) },
    { title: 'received', cells: table.rows.map((row) => [countsText(row), '']) },
  ];
  return [
    ...filledColumns([table]).map((name) => figureColumn(table, name)),
    ...said.filter(({ cells }) => cells.some(([main]) => main !== '')),
  ];
}

function widthOf({ title, cells }: Column): number {
  return Math.max(title.length, ...cells.flat().map((text) => text.length));
}

/** Puts columns into blocks so that no block is wider than a line, except one of a single column. */
function blocksOf(columns: readonly Column[], width: number): Column[][] {
  const blocks: Column[][] = [];
  let used = 0;
  for (const column of columns) {
    const more = widthOf(column) + GAP.length;
    const block = blocks.at(-1);
    if (block === undefined || used + more > width) {
      blocks.push([column]);
      used = more;
    } else {
      block.push(column);
      used += more;
    }
  }
  return blocks;
}

function marked({ server, marks }: Row): string {
  return `${marks.length > 0 ? '!' : ' '} ${server}`;
}

/** How a block of columns is drawn. */
interface BlockStyle extends TableStyle {
  /** Characters of the column with the names of servers. */
  readonly serverWidth: number;
}

function drawBlock(table: Table, columns: readonly Column[], style: BlockStyle): string[] {
  const widths = columns.map(widthOf);
  const line = (server: string, texts: readonly string[]): string =>
    [server.padEnd(style.serverWidth), ...texts.map((text, i) => text.padStart(widths[i] ?? 0))].join(GAP).trimEnd();
  const paint = (format: Parameters<typeof styleText>[0], text: string): string =>
    style.colours ? styleText(format, text, { validateStream: false }) : text;
  const rows = table.rows.flatMap((row, i) => {
    const main = line(
      marked(row),
      columns.map(({ cells }) => cells[i]?.[0] ?? ''),
    );
    const more = line(
      '',
      columns.map(({ cells }) => cells[i]?.[1] ?? ''),
    );
    const painted =
      row.marks.length > 0 ? paint('yellow', main) : row.server === 'gateway' ? paint('bold', main) : main;
    return more === '' ? [painted] : [painted, paint('dim', more)];
  });
  const heading = line(
    '  server',
    columns.map(({ title }) => title),
  );
  return [paint('underline', heading), ...rows];
}

/** One table with the sentences of its marks below it. */
export function drawTable(table: Table, style: TableStyle): string {
  const serverWidth = Math.max(...['  server', ...table.rows.map(marked)].map((text) => text.length));
  const blocks = blocksOf(columnsOf(table), style.width - serverWidth);
  const lines = blocks.flatMap((columns, i) => [
    ...(i > 0 ? [''] : []),
    ...drawBlock(table, columns, { ...style, serverWidth }),
  ]);
  // The point stands above.
  const marks = doubtsOf([{ ...table, point: '' }]).map(({ rows, text }) => `  ! ${rows}: ${text}`);
  return [...(table.point === '' ? [] : [`  ${table.point}`]), ...lines, ...marks].join('\n');
}

/**
 * A scenario for the terminal: for each row the median of every figure, its ratio to the `raw` row and, below, its range over
 * the runs. A row that is not clean starts with `!` and says why.
 */
export function drawScenario({ name, title, settings, tables, notes }: ScenarioResult, style: TableStyle): string {
  const heading = `${style.colours ? styleText('bold', name, { validateStream: false }) : name}: ${title}`;
  const parts = [
    `${heading}\n${settingsText(settings)}`,
    ...tables.map((table) => drawTable(table, style)),
    ...(notes.length === 0 ? [] : [notes.map((note) => `  note: ${note}`).join('\n')]),
  ];
  return parts.join('\n\n');
}
