import { readdirSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HABITS, habitsIn, titlesIn } from './habits.js';
import { ROOT, markdownFiles, read } from './markdown.js';

const SETTINGS = /\.(?:ya?ml|json|env|cfg)$/;

/** Paths of the files below a folder whose names end so, from the root of the repository. */
function files(folder: string, ends: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ends.test(entry.name))
    .map((entry) => posix.join(...relative(ROOT, join(entry.parentPath, entry.name)).split(/[\\/]/)))
    .toSorted();
}

/** What people read, and the least number of files there. */
const TEXTS: readonly (readonly [texts: string, atLeast: number, paths: readonly string[]])[] = [
  ['the documents', 15, markdownFiles()],
  ['comments, messages and log lines of src/', 200, files('src', /\.(?:ts|lua|html)$/)],
  [
    'the manifests, alerts and settings of deployments',
    20,
    ['k8s', 'deploy'].flatMap((folder) => files(folder, SETTINGS)),
  ],
  ['the examples', 6, files('examples', /./)],
];

test.each(TEXTS)('%s have none of the phrases that no native writer would use', (_texts, atLeast, paths) => {
  expect(paths.length).toBeGreaterThan(atLeast);
  expect(paths.flatMap((file) => habitsIn({ file, text: read(file) }))).toEqual([]);
});

test('the titles of tests have none of the phrases that no native writer would use', () => {
  const titles = files('test', /\.test\.ts$/).flatMap((file) => titlesIn(file, read(file)));
  expect(titles.length).toBeGreaterThan(1000);
  expect(titles.flatMap(habitsIn)).toEqual([]);
});

describe('the search for phrases', () => {
  test.each(HABITS.map(([, instead, example]) => [example, instead]))(
    'marks "%s" and says to write: %s',
    (example, instead) => {
      expect(habitsIn({ file: 'a.ts', text: example }).join('\n')).toContain(`(write: ${instead})`);
    },
  );

  test('finds a phrase that goes over the end of a line, and names the line on which it begins', () => {
    const found = ['a.ts:2: "can * not" (write: cannot)'];
    expect(habitsIn({ file: 'a.ts', text: '/**\n * It can\n * not be.\n */' })).toEqual(found);
  });

  test('leaves alone what reads well', () => {
    const text = [
      'It cannot only be read, it can not only be read.',
      'The client is told what is missing; what is no longer kept is lost.',
      'The table says for whom it is. Who has the key? The key is not one of those.',
      'They are all the same. if (a) return 1; else return 2;',
    ].join('\n');
    expect(habitsIn({ file: 'a.ts', text })).toEqual([]);
  });

  test('finds the titles of tests in every form of a call', () => {
    const source = [
      `test('one', () => {});`,
      `test.each([1, 2])('two %d', (n) => n);`,
      `describe.skipIf(!has('x'))(\`three \${1}\`, () => {});`,
      `test.each([\n  ['a'],\n])(\n  "it's four",\n  () => {},\n);`,
      `expect(text).toContain('no title');`,
    ].join('\n');
    const titles = titlesIn('a.test.ts', source).map(({ text, line }) => [line, text]);
    expect(titles).toEqual([
      [1, 'one'],
      [2, 'two %d'],
      [3, 'three ${1}'],
      [7, "it's four"],
    ]);
  });
});
