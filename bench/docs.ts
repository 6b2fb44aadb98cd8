/**
 * Writes the results that are committed in `bench/results/` into `docs/benchmarks.md`, with their pictures: run
 * `npm run bench:docs` after a result was replaced.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { drawPictures } from './report/charts.js';
import { svgFile } from './report/files.js';
import { type Shown, resultsText } from './report/markdown.js';
import type { BenchResult } from './result.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENT = join(ROOT, 'docs/benchmarks.md');
const PICTURES = 'benchmarks';
/** Pictures of one result; more say the same again. */
const MAX_PICTURES = 2;

/** Folders of `bench/results/` in the order in which they are shown, and their headings. */
export const RESULTS = {
  fanout: 'fanout',
  rate200: 'fanout at 200 signals/s',
  rate400: 'fanout at 400 signals/s',
  topics: 'topics',
  burst: 'burst',
  saturation: 'saturation',
  pods: 'pods',
  slow: 'slow',
  storm: 'storm',
  connect: 'connect',
  memory: 'memory',
  idle: 'idle',
  compression: 'compression',
  http: 'http',
  ingest: 'ingest',
  crosscheck: 'crosscheck',
  python: 'beside python-socketio',
} as const;

const BEGIN = '<!-- Written by `npm run bench:docs` from bench/results; change nothing here by hand. -->';
const END = '<!-- The end of what is written. -->';

/** The document with the results as they are committed, and the pictures that it shows, by their names. */
export async function writtenDocument(): Promise<{ text: string; pictures: ReadonlyMap<string, string> }> {
  const pictures = new Map<string, string>();
  const shown = Object.entries(RESULTS).map(([folder, heading]): Shown => {
    const result = JSON.parse(readFileSync(join(ROOT, 'bench/results', folder, 'result.json'), 'utf8')) as BenchResult;
    const drawn = [...drawPictures(result).values()].flat().slice(0, MAX_PICTURES);
    const [scenario] = result.scenarios;
    // Another result of the same scenario has pictures of the same names.
    const files = drawn.map(({ name }) => `${folder}-${name.replace(`${scenario?.name}-`, '')}.svg`);
    for (const [index, { wide }] of drawn.entries()) pictures.set(files[index] ?? '', svgFile(wide));
    return { heading, result, pictures: files.map((file) => `${PICTURES}/${file}`) };
  });
  const before = readFileSync(DOCUMENT, 'utf8');
  const [begin, end] = [before.indexOf(BEGIN), before.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} lacks the lines between which results are written`);
  const text = `${before.slice(0, begin)}${BEGIN}\n\n${resultsText(shown)}\n\n${before.slice(end)}`;
  return { text: await format(text, { ...(await resolveConfig(DOCUMENT)), parser: 'markdown' }), pictures };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { text, pictures } = await writtenDocument();
  const folder = join(ROOT, 'docs', PICTURES);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, svg] of pictures) writeFileSync(join(folder, name), svg);
  writeFileSync(DOCUMENT, text);
}
