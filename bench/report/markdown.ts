import type { BenchResult, FigureName, Row, ScenarioResult, Table } from '../result.js';
import { columnTitle, countsText, figureText, filledColumns, rangeText, ratioText, ratioToControl } from './format.js';

/** Columns that a document leaves out where there are others: they say little beside these, and tables must fit a page. */
const MINOR: readonly FigureName[] = ['p90', 'p999', 'max', 'spreadP50', 'spreadP99', 'cpuShare'];

function figureCell(table: Table, row: Row, name: FigureName): string {
  const figure = row.figures[name];
  if (figure === undefined) return '–';
  const range = rangeText(name, figure);
  const ratio = ratioToControl(table, row, name);
  return [
    figureText(name, figure.median) + (range === '' ? '' : ` (${range})`),
    ...(ratio === undefined ? [] : [ratioText(ratio)]),
  ].join(', ');
}

function tableText(table: Table): string {
  const filled = filledColumns([table]);
  const columns = filled.filter((name) => !MINOR.includes(name));
  const counts = table.rows.some((row) => countsText(row) !== '');
  const lines = [
    ['row', ...columns.map(columnTitle), ...(counts ? ['received'] : []), 'clean'],
    ['---', ...columns.map(() => '---'), ...(counts ? ['---'] : []), '---'],
    ...table.rows.map((row) => [
      `\`${row.server}\``,
      ...columns.map((name) => figureCell(table, row, name)),
      ...(counts ? [countsText(row) || '–'] : []),
      row.marks.length === 0 ? 'yes' : row.marks.join(' '),
    ]),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function sectionText({ heading, result, pictures }: Shown, { title, tables, notes }: ScenarioResult): string {
  const { command, startedAt, versions } = result;
  const sentence = `${title.charAt(0).toUpperCase()}${title.slice(1)}`;
  return [
    `### ${heading}`,
    `${sentence}: \`npm run bench -- ${command}\` (${startedAt.slice(0, 10)}, commit ${versions['commit'] ?? 'unknown'}).`,
    ...tables.flatMap((table) => [...(table.point === '' ? [] : [`_${table.point}_`]), tableText(table)]),
    notes.map((note) => `- ${note}`).join('\n'),
    ...pictures.map((picture) => `![${heading}](${picture})`),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** A result that is shown in a document. */
export interface Shown {
  readonly heading: string;
  readonly result: BenchResult;
  /** Addresses of its pictures, as the document sees them. */
  readonly pictures: readonly string[];
}

/** Sections for results, in Markdown. Every cell is the median, the range over the runs, and the ratio to `raw`. */
export function resultsText(shown: readonly Shown[]): string {
  return shown.flatMap((one) => one.result.scenarios.map((scenario) => sectionText(one, scenario))).join('\n\n');
}
