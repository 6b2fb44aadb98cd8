import type { BenchResult, ScenarioResult, Table } from '../result.js';
import { type Look, colourCss, looksOf } from './colours.js';
import type { Picture } from './drawing.js';
import { doubtsOf, slug } from './format.js';
import { PAGE_CSS } from './page-style.js';
import { escapeHtml, grouped, tableHtml } from './page-table.js';
import { countMarks, gatewayCounted, gatewayFaults, overloadShowed } from './verdict.js';

/** A curve of more points is better seen as a picture; its tables are folded. */
const MOST_POINTS = 4;

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
  const marks = doubtsOf(tables).map(({ rows, text }) => `<li><b>! ${escapeHtml(rows)}</b>: ${escapeHtml(text)}</li>`);
  const html = (some: readonly Table[]): string =>
    grouped(some)
      .map((group) => tableHtml(group, looks))
      .join('\n');
  const points = tables.filter(({ x }) => scenario.axis !== undefined && x !== undefined);
  const long = points.length > MOST_POINTS;
  const folded = !long ? '' : `<details><summary>Figures of each point</summary>${html(points)}</details>`;
  const figures =
    html(tables.filter((table) => !(long && points.includes(table)))) +
    (marks.length === 0 ? '' : `<ul class="marks">${marks.join('')}</ul>`);
  const drawings = `<div class="pictures">${pictures.map(pictureHtml).join('\n')}</div>`;
  return [
    `<section id="${slug(name)}"><h2>${escapeHtml(name)}</h2><p class="lead">${escapeHtml(title)}</p>`,
    `<ul class="chips">${chips.join('')}</ul>`,
    figures,
    drawings,
    folded,
    notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`).join(''),
    '</section>',
  ].join('\n');
}

function verdictHtml(result: BenchResult): string {
  const faults = gatewayFaults(result);
  const { rows, marked } = countMarks(result);
  const clean = gatewayCounted(result)
    ? `<p class="good">The gateway delivered every signal once and in order to every client${overloadShowed(result) ? ', but where it was overloaded on purpose' : ''}.</p>`
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
