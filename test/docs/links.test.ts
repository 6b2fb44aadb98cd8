import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { anchors, blocks, exists, markdownFiles, read, targets, withoutCode } from './markdown.js';

const FILES = markdownFiles();

/** What is wrong with a relative link; `undefined` if it leads to something. */
function fault(file: string, target: string): string | undefined {
  const [path = '', anchor] = target.split('#');
  const to = path === '' ? file : posix.normalize(posix.join(posix.dirname(file), decodeURIComponent(path)));
  if (to.startsWith('..')) return `${target}: outside of the repository`;
  if (!exists(to)) return `${target}: there is no ${to}`;
  if (anchor === undefined || !to.endsWith('.md')) return undefined;
  return anchors(read(to)).has(anchor) ? undefined : `${target}: ${to} has no heading of that name`;
}

test('the documents are found, those of every folder', () => {
  for (const file of ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/architecture.md', 'k8s/README.md']) {
    expect(FILES).toContain(file);
  }
});

test.each(FILES)('every relative link, picture and anchor of %s leads to something', (file) => {
  const relative = targets(read(file)).filter((target) => !/^[a-z][a-z+.-]*:/i.test(target));
  expect(relative.map((target) => fault(file, target)).filter((one) => one !== undefined)).toEqual([]);
});

/** Paths in backticks that begin in a folder of the repository; those with a wildcard or a placeholder are no paths. */
const PATH = /`((?:\.ci|bench|deploy|docs|examples|k8s|src|test)\/[\w./-]*)`/g;

test.each(FILES)('every file and folder that %s names in backticks is there', (file) => {
  const named = [...read(file).matchAll(PATH)].map(([, path = '']) => path).filter((path) => !/\/(?:out|<)/.test(path));
  expect([...new Set(named)].filter((path) => !exists(path))).toEqual([]);
});

test.each(FILES)('%s has no link to a place on the machine it was written on', (file) => {
  expect(withoutCode(read(file))).not.toMatch(/\]\((?:file:|\/)/);
});

describe('a link', () => {
  test('is found in every form, and not in code', () => {
    const text = [
      '[a](a.md) ![b](b.svg "title") [c](<c.md>) [d][e]',
      '<img alt="x" src="f.png"> <source media="(x)" srcset="g.png">',
      '`[h](h.md)`',
      '```md\n[i](i.md)\n```',
      '',
      '[e]: e.md',
    ].join('\n');
    expect(targets(text)).toEqual(['a.md', 'b.svg', 'c.md', 'e.md', 'f.png', 'g.png']);
  });

  test('to a heading has the name that GitHub gives it', () => {
    const text =
      '# Redis Pub/Sub\n## What `breaks`, and what happens\n### A [link](x.md)\n## Redis\n## Redis\n```\n# no\n```\n';
    expect([...anchors(text)]).toEqual(['redis-pubsub', 'what-breaks-and-what-happens', 'a-link', 'redis', 'redis-1']);
  });

  test('that leads nowhere is reported', () => {
    expect(fault('README.md', 'nowhere.md')).toBe('nowhere.md: there is no nowhere.md');
    expect(fault('docs/security.md', '../README.md#nothing')).toContain('no heading');
    expect(fault('docs/security.md', '../../x.md')).toContain('outside');
    expect(fault('docs/security.md', '../LICENSE')).toBeUndefined();
  });
});

describe('a diagram', () => {
  const diagrams = FILES.flatMap((file) =>
    blocks(read(file))
      .filter(({ language }) => language === 'mermaid')
      .map(({ code }, index) => [`${index + 1} of ${file}`, code] as const),
  );

  test('is in docs/architecture.md for the way of a signal, the bridge, recovery and the parts', () => {
    expect(diagrams.filter(([name]) => name.endsWith('docs/architecture.md')).length).toBeGreaterThanOrEqual(4);
  });

  // Mermaid itself needs a browser; these are the faults that come with careless edits.
  test.each(diagrams)('%s is of a kind that GitHub draws, and closes what it opens', (_name, code) => {
    const lines = code.split('\n').map((line) => line.trim());
    expect(lines[0]).toMatch(/^(?:flowchart (?:TB|TD|LR)|sequenceDiagram|stateDiagram-v2)$/);
    expect(code.match(/"/g)?.length ?? 0).toSatisfy((count: number) => count % 2 === 0);
    const unquoted = code.replaceAll(/"[^"]*"/g, '');
    for (const [open, close] of ['()', '[]', '{}']) {
      expect(unquoted.split(open ?? '').length).toBe(unquoted.split(close ?? '').length);
    }
    const opened = lines.filter((line) => /^(?:subgraph|alt|loop|opt|par) /.test(line)).length;
    expect(lines.filter((line) => line === 'end').length).toBe(opened);
    // Mermaid takes it for the end of a statement.
    expect(code).not.toContain(';');
  });
});
