import type { BenchResult, FigureName, Row, ScenarioResult, Table } from '../result.js';
import { type Look, colourCss, looksOf } from './colours.js';
import type { Picture } from './drawing.js';
import {
  columnTitle,
  countsText,
  figureText,
  limitText,
  loadText,
  rangeText,
  ratioText,
  ratioToRaw,
  slug,
} from './format.js';
import { PAGE_CSS } from './page-style.js';
import { countMarks, gatewayCounted, gatewayFaults } from './verdict.js';

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
  const ratio = ratioToRaw(table, row, name);
  const times = ratio === undefined ? '' : ` <i>${ratioText(ratio)}</i>`;
  return `<td>${escapeHtml(figureText(name, figure.median))}${times}${small(rangeText(name, figure))}</td>`;
}

/** One HTML table of tables that have the same columns; each has its point as a row of its own. */
function tableHtml(tables: readonly Table[], looks: ReadonlyMap<string, Look>): string {
  const columns = tables[0]?.columns ?? [];
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
        ...(limits ? [`<td class="load">${escapeHtml(limitText(row))}${small(loadText(row))}</td>`] : []),
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
function grouped(tables: readonly Table[]): Table[][] {
  const groups: Table[][] = [];
  for (const table of tables) {
    const last = groups.at(-1);
    if (last?.[0]?.columns.join() === table.columns.join()) last.push(table);
    else groups.push([table]);
  }
  return groups;
}

function pictureHtml({ title, wide, narrow, half }: Picture): string {
  const label = ` role="img" aria-label="${escapeHtml(title)}"`;
  const image = (svg: string, kind: string): string =>
    `<div class="${kind}">${svg.replace('<svg', `<svg${label}`)}</div>`;
  return `<figure${half ? ' class="half"' : ''}><figcaption>${escapeHtml(title)}</figcaption>${image(wide, 'wide')}${image(narrow, 'narrow')}</figure>`;
}

function scenarioHtml(
  scenario: ScenarioResult,
  pictures: readonly Picture[],
  looks: ReadonlyMap<string, Look>,
): string {
  const { name, title, settings, tables, notes } = scenario;
  const chips = Object.entries(settings).map(
    ([key, value]) =>
      `<li>${escapeHtml(key)} <b>${escapeHtml(typeof value === 'number' ? value.toLocaleString('en-US') : value)}</b></li>`,
  );
  const marks = tables.flatMap(({ point, rows }) =>
    rows.flatMap(({ server, marks: sentences }) =>
      sentences.map(
        (text) =>
          `<li><b>! ${escapeHtml([point, server].filter((part) => part !== '').join(', '))}</b>: ${escapeHtml(text)}</li>`,
      ),
    ),
  );
  const figures = [
    ...grouped(tables).map((group) => tableHtml(group, looks)),
    marks.length === 0 ? '' : `<ul class="marks">${marks.join('')}</ul>`,
  ].join('\n');
  const drawings = `<div class="pictures">${pictures.map(pictureHtml).join('\n')}</div>`;
  return [
    `<section id="${slug(name)}"><h2>${escapeHtml(name)}</h2><p class="lead">${escapeHtml(title)}</p>`,
    `<ul class="chips">${chips.join('')}</ul>`,
    // The tables of a curve are long, and its pictures say it better.
    scenario.axis === undefined ? figures + drawings : drawings + figures,
    notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`).join(''),
    '</section>',
  ].join('\n');
}

function verdictHtml(result: BenchResult): string {
  const faults = gatewayFaults(result);
  const { rows, marked } = countMarks(result);
  const clean = gatewayCounted(result)
    ? '<p class="good">The gateway delivered every signal once and in order to every client.</p>'
    : '';
  const complete =
    faults.length === 0
      ? clean
      : `<ul class="marks">${faults.map((text) => `<li><b>!</b> ${escapeHtml(text)}</li>`).join('')}</ul>`;
  const doubt =
    marked === 0
      ? '<p>No row is marked.</p>'
      : `<p><b class="mark">!</b> ${marked} of ${rows} rows are marked and not to be relied on; the reasons stand below each table.</p>`;
  return complete + doubt;
}

const READING = `<details><summary>How to read this</summary><ul>
<li>Latency runs from the moment a signal was <b>due</b>, so a server that stalls is charged for the wait.</li>
<li>A cell has the median of the runs, its ratio to the row <b>raw</b> (plain uWebSockets.js sending the same bytes) and, below, the range over the runs.</li>
<li>Percentiles come from HdrHistograms that are merged over processes and runs, never averaged.</li>
<li><b class="mark">!</b> marks a row that is not clean, such as one whose load generator was itself busy. Its line is dashed, its bar or points hollow.</li>
<li>Servers, clients and publisher share this machine and its loopback. Look at ratios before you look at absolute figures.</li>
</ul></details>`;

/**
 * The whole report as one HTML page that asks for nothing else: no script, no font, no image from elsewhere, and a policy
 * that forbids them. All texts of the result are escaped.
 */
export function pageHtml(result: BenchResult, pictures: ReadonlyMap<string, readonly Picture[]>): string {
  const { machine, versions, scenarios, startedAt, seconds, command } = result;
  const looks = looksOf(result);
  const facts = {
    machine: `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}`,
    versions: Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(' · '),
    started: `${startedAt.slice(0, 16).replace('T', ' ')} UTC, took ${Math.round(seconds)} s`,
    command: `npm run bench${command === '' ? '' : ` -- ${command}`}`,
  };
  const links = scenarios.map(({ name }) => `<a href="#${slug(name)}">${escapeHtml(name)}</a>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>signal-gateway bench, ${escapeHtml(startedAt.slice(0, 10))}</title>
<style>${colourCss()}${PAGE_CSS}</style>
</head>
<body>
<header><h1>signal-gateway bench</h1>
<dl>${Object.entries(facts)
    .map(([name, text]) => `<dt>${name}</dt><dd>${escapeHtml(text)}</dd>`)
    .join('')}</dl>
${verdictHtml(result)}
${READING}
<nav>${links.join('')}</nav></header>
<main>
${scenarios.map((scenario) => scenarioHtml(scenario, pictures.get(scenario.name) ?? [], looks)).join('\n')}
</main>
</body>
</html>
`;
}
