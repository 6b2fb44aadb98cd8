import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function read(path: string): string {
  return readFileSync(`${ROOT}/${path}`, 'utf8');
}

/** The rules of the page: a heading with a number, and what stands below it. */
const RULES = read('docs/ordering.md')
  .split(/^### /m)
  .slice(1)
  .map((text) => ({ title: text.slice(0, text.indexOf('\n')), text }));

/** Files of the sources that a rule names, with the functions that it names in them. */
function heldBy(text: string): { file: string; names: string[] }[] {
  const line = /^- \*\*Held by:\*\*((?:.|\n(?!- |\n))*)/m.exec(text)?.[1] ?? '';
  const found: { file: string; names: string[] }[] = [];
  for (const [, file, name] of line.matchAll(/`(src\/[\w./-]+\.(?:ts|lua))?(?:#(\w+))?`/g)) {
    if (file !== undefined) found.push({ file, names: [] });
    if (name !== undefined) found.at(-1)?.names.push(name);
  }
  return found;
}

describe('docs/ordering.md', () => {
  test('has rules, numbered from 1, each with who holds it, what breaks and a test', () => {
    expect(RULES.length).toBeGreaterThan(20);
    expect(RULES.map(({ title }) => Number.parseInt(title, 10))).toEqual(RULES.map((_, i) => i + 1));
    const incomplete = RULES.filter(
      ({ text }) =>
        heldBy(text).length === 0 || !text.includes('- **What breaks otherwise:**') || !text.includes('- **Test:**'),
    );
    expect(incomplete.map(({ title }) => title)).toEqual([]);
  });

  test('names functions that are there', () => {
    const missing = RULES.flatMap(({ title, text }) =>
      heldBy(text).flatMap(({ file, names }) => {
        if (!existsSync(`${ROOT}/${file}`)) return [`${title}: there is no ${file}`];
        const source = read(file);
        const unknown = names.filter((name) => !new RegExp(`\\b${name}\\b`).test(source));
        return unknown.map((name) => `${title}: ${file} has no ${name}`);
      }),
    );
    expect(missing).toEqual([]);
  });

  test('is referred to from a file that holds each rule', () => {
    const unaware = RULES.filter(
      ({ text }) => !heldBy(text).some(({ file }) => read(file).includes('docs/ordering.md')),
    );
    expect(unaware.map(({ title }) => title)).toEqual([]);
  });

  test('names test files that are there', () => {
    const files = RULES.flatMap(({ text }) => [
      ...text.matchAll(/`(test\/[\w./-]+\.test\.ts|test\/journal\/journal-suite\.ts)`/g),
    ]);
    expect(files.length).toBeGreaterThan(20);
    expect(files.map(([, file = '']) => file).filter((file) => !existsSync(`${ROOT}/${file}`))).toEqual([]);
  });
});
