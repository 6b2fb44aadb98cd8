import type { FigureName, Row, Table } from '../result.js';
import type { Look } from './colours.js';
import {
  columnTitle,
  countsText,
  figureText,
  filledColumns,
  limitText,
  loadText,
  rangeText,
  ratioText,
  ratioToControl,
} from './format.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML, for content and for quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

function small(text: string): string {
  return text === '' ? '' : `<small>${escapeHtml(text)}</small>`;
}

function figureCell(table: Table, row: Row, name: FigureName): string {
  const figure = row.figures[name];
  if (figure === undefined) return '<td>–</td>';
  const ratio = ratioToControl(table, row, name);
  const times = ratio === undefined ? '' : ` <i>${ratioText(ratio)}</i>`;
  return `<td>${escapeHtml(figureText(name, figure.median))}${times}${small(rangeText(name, figure))}</td>`;
}

/** One HTML table of tables that have the same columns; each has its point as a row of its own. */
export function tableHtml(tables: readonly Table[], looks: ReadonlyMap<string, Look>): string {
  const columns = filledColumns(tables);
  const rows = tables.flatMap((table) => table.rows);
  const limits = rows.some((row) => limitText(row) !== '');
  const counts = rows.some((row) => countsText(row) !== '');
  const width = 1 + columns.length + Number(limits) + Number(counts);
  const headings = [...columns.map(columnTitle), ...(limits ? ['limited by'] : []), ...(counts ? ['received'] : [])];
  const body = tables.map((table) => {
    const point =
      table.point === '' ? '' : `<tr class="point"><th colspan="${width}">${escapeHtml(table.point)}</th></tr>`;
    const lines = table.rows.map((row) => {
      const mark = row.marks.length > 0 ? '<b class="mark">!</b> ' : '';
      const dot = `<span class="dot" style="background:var(${looks.get(row.server)?.variable ?? '--ink'})"></span>`;
      const cells = [
        ...columns.map((name) => figureCell(table, row, name)),
        ...(limits ? [`<td><div class="load">${escapeHtml(limitText(row))}${small(loadText(row))}</div></td>`] : []),
        ...(counts ? [`<td>${escapeHtml(countsText(row))}</td>`] : []),
      ];
      return `<tr><th>${mark}${dot}${escapeHtml(row.server)}</th>${cells.join('')}</tr>`;
    });
    return point + lines.join('\n');
  });
  const head = headings.map((title) => `<th>${escapeHtml(title)}</th>`).join('');
  return `<div class="scroll"><table><thead><tr><th>server</th>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

/** Puts tables with the same columns that follow each other together. */
export function grouped(tables: readonly Table[]): Table[][] {
  const groups: Table[][] = [];
  for (const table of tables) {
    const last = groups.at(-1);
    if (last?.[0]?.columns.join() === table.columns.join()) last.push(table);
    else groups.push([table]);
  }
  return groups;
}
