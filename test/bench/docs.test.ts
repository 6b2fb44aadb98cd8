import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { RESULTS, writtenDocument } from '../../bench/docs.js';

function path(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url));
}

test('every committed result is in docs/benchmarks.md, but for the one that CI compares with', () => {
  expect(Object.keys(RESULTS).toSorted()).toEqual(
    readdirSync(path('bench/results'))
      .filter((name) => name !== 'smoke')
      .toSorted(),
  );
});

test('docs/benchmarks.md and its pictures say what the committed results say', async () => {
  const { text, pictures } = await writtenDocument();
  expect(readFileSync(path('docs/benchmarks.md'), 'utf8')).toBe(text);
  expect([...pictures.keys()].toSorted()).toEqual(readdirSync(path('docs/benchmarks')).toSorted());
  for (const [name, svg] of pictures) expect(readFileSync(path(`docs/benchmarks/${name}`), 'utf8')).toBe(svg);
});
