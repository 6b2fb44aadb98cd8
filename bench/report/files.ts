import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchResult } from '../result.js';
import { drawPictures } from './charts.js';
import { colourCss } from './colours.js';
import { slug } from './format.js';
import { hgrmText } from './histogram.js';
import { pageHtml } from './page.js';

/** Names and texts of the `.hgrm` files of a result: one for each histogram of a row. */
export function hgrmFiles({ scenarios }: BenchResult): ReadonlyMap<string, string> {
  return new Map(
    scenarios.flatMap(({ name, tables }) =>
      tables.flatMap(({ point, rows }) =>
        rows.flatMap((row) => {
          const file = slug(`${name} ${point} ${row.server}`);
          return [
            ...(row.latency === undefined ? [] : [[`${file}.hgrm`, hgrmText(row.latency)] as const]),
            ...(row.spread === undefined ? [] : [[`${file}-spread.hgrm`, hgrmText(row.spread)] as const]),
          ];
        }),
      ),
    ),
  );
}

/** A picture as a file that stands alone: it brings its colours, its background and its font. */
export function svgFile(svg: string): string {
  const style = `${colourCss()}svg{background:var(--card);font-family:system-ui,"DejaVu Sans",sans-serif}`;
  return svg.replace('>', `><style>${style}</style>`);
}

/**
 * Writes a result into a folder, which is made: `result.json`, `report.html`, `.hgrm` files in `hgrm/` and the pictures in
 * `pictures/`.
 *
 * @returns the path of the page
 */
export function writeFiles(folder: string, result: BenchResult): string {
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  for (const name of ['hgrm', 'pictures']) mkdirSync(join(folder, name), { recursive: true });
  // First, so that a picture that cannot be drawn does not cost the figures.
  write('result.json', `${JSON.stringify(result, undefined, 1)}\n`);
  for (const [name, text] of hgrmFiles(result)) write(join('hgrm', name), text);
  const pictures = drawPictures(result);
  for (const { name, wide } of [...pictures.values()].flat()) write(join('pictures', `${name}.svg`), svgFile(wide));
  write('report.html', pageHtml(result, pictures));
  return join(folder, 'report.html');
}
