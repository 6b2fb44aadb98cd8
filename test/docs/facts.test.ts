import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import vitestConfig from '../../vitest.config.js';
import { badMessages } from '../support/bad-messages.js';
import { ROOT, blocks, read } from './markdown.js';

const README = read('README.md');

test('README.md is short enough to be read', () => {
  expect(README.split('\n').length).toBeLessThanOrEqual(200);
});

test('README.md begins with the two commands, and .ci/run takes exactly them', () => {
  const [first] = blocks(README);
  expect(first).toEqual({ language: 'sh', code: 'npm ci && npm start\nnpm ci && npm test\n' });
  const ci = read('.ci/run');
  expect(ci).toMatch(/^step 'install' \d+ npm ci \|\| finish$/m);
  // What follows the dashes are options of the test runner.
  expect(ci).toMatch(/^step 'tests' \d+ npm test -- --/m);
});

test('npm test and npm run test:long together run every test there is, and .ci/run runs both', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const run = ['test', 'test:long'].map((name) => scripts[name]?.replace(/^vitest run/, '') ?? '');
  const named = run.flatMap((options) => [...options.matchAll(/ --project (\S+)/g)].map(([, name]) => name));
  const { projects = [] } = vitestConfig.test ?? {};
  expect(projects.map((project) => (project as { test: { name: string } }).test.name)).toEqual(named);
  expect(run.join('').replaceAll(/ --project \S+/g, '')).toBe('');
  expect(read('.ci/run')).toMatch(/^step 'long tests' \d+ npm run test:long -- --/m);
});

test('README.md gives the number of kinds of bad messages that are tried', () => {
  expect(README).toContain(`[${badMessages(16_000).length} kinds of bad messages]`);
});

test('the exit codes of docs/configuration.md are those of the process', () => {
  const named = /^Exit codes: (.*)$/m.exec(read('docs/configuration.md'))?.[1] ?? '';
  const codes = [...named.matchAll(/\b(\d) [a-z]/g)].map(([, code]) => Number(code));
  expect(new Set(codes)).toEqual(new Set(Object.values(EXIT)));
});

describe('a figure', () => {
  const measured = read('docs/benchmarks.md').replaceAll(/\s+/g, ' ');
  // Not as the end of a longer number.
  const isMeasured = (figure: string): boolean =>
    new RegExp(String.raw`(?<![\d.,])${figure.replaceAll('.', String.raw`\.`)}`).test(measured);
  // "1.01 ×", "3.3 s", "2.2 KB" and the like, in a sentence that links to the results.
  const FIGURE = /\d[\d,.]* (?:×|KB|s|%|µs)(?![\w/])/g;

  test.each(['README.md', 'docs/comparison.md', 'docs/architecture.md'])(
    'that %s gives as measured is in docs/benchmarks.md',
    (file) => {
      const lines = read(file)
        .split(/\n\n|\n(?=[|-])/)
        .filter((part) => /benchmarks\.md/.test(part));
      const figures = lines.flatMap((part) => [...part.matchAll(FIGURE)].map(([figure]) => figure));
      expect(figures.length).toBeGreaterThan(1);
      expect([...new Set(figures)].filter((figure) => !isMeasured(figure))).toEqual([]);
    },
  );
});

describe('docs/comparison.md', () => {
  const TEXT = read('docs/comparison.md');

  test('says when it was looked up, and links to the documents of those it compares with', () => {
    expect(TEXT).toMatch(/looked up in \w+ \d{4}/);
    for (const site of [
      'https://socket.io/docs/',
      'https://python-socketio.readthedocs.io/',
      'https://centrifugal.dev/docs/',
    ]) {
      expect(TEXT).toContain(site);
    }
  });

  test('has a link in every point that it makes of the others', () => {
    const section = TEXT.slice(TEXT.indexOf('## Socket.IO'), TEXT.indexOf('## What this gateway does not do'));
    const points = section.split(/\n(?=- )/).filter((part) => part.startsWith('- '));
    expect(points.length).toBeGreaterThan(10);
    expect(points.filter((point) => !/\]\([^)]+\)/.test(point))).toEqual([]);
  });
});

test('docs/architecture.md has a row for every folder of the sources', () => {
  const text = read('docs/architecture.md');
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(folders.length).toBeGreaterThan(6);
  expect(folders.filter((name) => !new RegExp(`^\\| \`src/${name}/\` *\\|`, 'm').test(text))).toEqual([]);
});

test('every npm script that CONTRIBUTING.md names is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = [...read('CONTRIBUTING.md').matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name);
  expect(named.length).toBeGreaterThan(5);
  expect([...new Set(named)].filter((name) => scripts[name] === undefined)).toEqual([]);
});

test('CHANGELOG.md keeps the form: newest first, dated releases, known kinds of changes, the version of the package', () => {
  const text = read('CHANGELOG.md');
  const releases = [...text.matchAll(/^## (.+)$/gm)].map(([, name = '']) => name);
  expect(releases[0]).toMatch(/^\[Unreleased\]$/);
  expect(releases.slice(1).filter((name) => !/^\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$/.test(name))).toEqual([]);
  const kinds = [...text.matchAll(/^### (.+)$/gm)].map(([, name = '']) => name);
  const KNOWN = new Set(['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']);
  expect(kinds.filter((kind) => !KNOWN.has(kind))).toEqual([]);
  const { version } = JSON.parse(read('package.json')) as { version: string };
  expect(text).toContain(version);
});
