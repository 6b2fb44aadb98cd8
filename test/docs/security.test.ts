import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ATTACK_NAMES } from '../../bench/soak/attack-orders.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function read(path: string): string {
  return readFileSync(`${ROOT}/${path}`, 'utf8');
}

const DOC = read('docs/security.md');

/** The lines of the tables whose first column has a name, without their heads. */
function linesOf(column: string): string[] {
  const tables = [...DOC.matchAll(/^\|.*\|$(?:\n\|.*\|$)*/gm)].map(([table]) => table.split('\n'));
  return tables.filter(([head = '']) => head.startsWith(`| ${column} `)).flatMap((lines) => lines.slice(2));
}

/** The rows of the tables: a claim, or nothing where it is that of the row above; a test file; a test in it. */
const ROWS = linesOf('claim').map((line) => {
  const cells = line.slice(1, -1).split('|');
  if (cells.length !== 3) throw new Error(`this row has no three cells: ${line}`);
  const [claim = '', file = '', title = ''] = cells.map((cell) => cell.trim());
  return { claim, file: /^`([^`]+)`$/.exec(file)?.[1] ?? file, title };
});

/** What makes a test file of the gateway one that checks a defence, by its place and name. */
const CHECKS =
  /^(?:(?:websocket(?:\/engine)?|access|http|admin|ingest|cluster|deploy)\/)?[^/]*(?:abort|access|acl|token|bad-|certificate|control|flood|fuzz|hostile|idempotency|limits|origin|publish|security|slow-reader)[^/]*\.test\.ts$/;

/** Whether a test of this title is in a source; `…` in the title stands for anything that is put in there. */
function hasTest(source: string, title: string): boolean {
  const parts = title.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  const text = parts.join(String.raw`\$\{[^}]+\}`);
  // The first thing in a call, or in a row of the table of `test.each`.
  return new RegExp(String.raw`[([]\s*(['"\x60])${text}\1\s*,`).test(source);
}

test('every claim of docs/security.md names tests that are there', () => {
  expect(ROWS.length).toBeGreaterThan(40);
  expect(ROWS[0]?.claim).not.toBe('');
  const wrong = ROWS.filter(({ file, title }) => !existsSync(`${ROOT}/${file}`) || !hasTest(read(file), title));
  expect(wrong).toEqual([]);
});

test('every table of docs/security.md begins with a claim, and no claim is made twice', () => {
  const firsts = [...DOC.matchAll(/^\| claim .*\n\| -.*\n\| (.*?) *\|/gm)].map(([, claim]) => claim);
  expect(firsts.length).toBeGreaterThan(3);
  expect(firsts.filter((claim) => claim === '')).toEqual([]);
  const claims = ROWS.map(({ claim }) => claim).filter((claim) => claim !== '');
  expect(claims.filter((claim, i) => claims.indexOf(claim) !== i)).toEqual([]);
});

test('every attack of the soak run is in the table of attacks, and whatever that names as its measurement is there', () => {
  const rows = linesOf('attack').map((line) => line.slice(1, -1).split('|'));
  const names = rows.map(([name = '']) => name.trim());
  expect(ATTACK_NAMES.filter((name) => !names.includes(name))).toEqual([]);
  const files = rows.flatMap((cells) => [...cells.join().matchAll(/`(test\/[\w./-]+)`/g)].map(([, file = '']) => file));
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter((file) => !existsSync(`${ROOT}/${file}`))).toEqual([]);
});

test('every test file that checks a defence, by its name, is in docs/security.md', () => {
  const all = readdirSync(`${ROOT}/test`, { recursive: true, encoding: 'utf8' });
  const files = all.filter((file) => CHECKS.test(file)).map((file) => `test/${file}`);
  expect(files.length).toBeGreaterThan(12);
  expect(files.filter((file) => !ROWS.some((row) => row.file === file))).toEqual([]);
});

test('the reader of tests finds the titles that are there, and no others', () => {
  const source =
    "test('a', () => {});\ntest(`${N} of ${b()} c`, run);\ntest.each([\n  ['d e', 1],\n])('%s', f);\n// test g";
  expect(['a', '… of … c', 'd e', '%s'].filter((title) => !hasTest(source, title))).toEqual([]);
  expect(['b', 'of', 'd', 'g', '… c'].filter((title) => hasTest(source, title))).toEqual([]);
});

test('keys of the publish API are compared as digests, each of them, in constant time', () => {
  const source = read('src/admin/access.ts');
  // How long a comparison takes can't be measured surely: what is held here is that there is no other one.
  expect(source).toContain('for (const one of known) match = timingSafeEqual(one, given) || match;');
  expect(source).not.toMatch(/apiKeys\.(?:includes|some|find|indexOf)|key\s*===|===\s*key/);
});

test('the token of the dashboard is compared as the keys of the publish API are, and nowhere else', () => {
  const source = read('src/app/dashboard.ts') + read('src/dashboard/publish-access.ts');
  expect(source).toContain('keyCheck(token === undefined ? apiKeys : [token])');
  expect(source).not.toMatch(
    /(?:token|apiKeys)\.(?:includes|some|find|indexOf)|token\s*===(?!\s*undefined)|===\s*token/,
  );
});
