import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.js';
import { FEED_EVENTS, SUBSCRIBE_ERRORS } from '../../src/contract/events.js';
import { HTTP_ERRORS, PROBLEMS, REFUSALS, TOKEN_ERRORS } from '../../src/errors.js';

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
}

/** The documents that the README hands its long tables over to. */
const TABLES = ['configuration', 'events', 'publishing', 'binaries'].map((name) => read(`docs/${name}.md`)).join('\n');

/** The rows of a text's tables by their first cell, which is in backticks; escaped bars are kept together. */
function rowsOf(text: string): Map<string, string[]> {
  return new Map(
    [...text.matchAll(/^\| *`([^`]+)` *\|(.*)\|$/gm)].map(([, name = '', rest = '']) => [
      name,
      rest.split(/(?<!\\)\|/).map((cell) => cell.trim()),
    ]),
  );
}

const ROWS = rowsOf(TABLES);
/** Of the document for clients alone: some codes are told on both ports. */
const CLIENT_ROWS = rowsOf(read('docs/events.md'));

/** The part of a source between two texts. */
function between(text: string, start: string, end: string): string {
  const from = text.indexOf(start);
  expect(from).toBeGreaterThanOrEqual(0);
  const to = text.indexOf(end, from + start.length);
  return text.slice(from + start.length, to);
}

const CONFIG_SOURCE = read('src/config/variables.ts');
const ACCESS_SOURCE = read('src/config/redis-access.ts');
const VARIABLES = [
  ...between(CONFIG_SOURCE, 'const VARIABLES = {', '} satisfies').matchAll(/^ {2}([A-Z_]+)[:,]/gm),
  ...between(ACCESS_SOURCE, 'const REDIS_ACCESS_VARIABLES = {', '} satisfies').matchAll(/^ {2}([A-Z_]+)[:,]/gm),
].map(([, name = '']) => name);

test('every variable has a row in docs/configuration.md, with its true default, and no row is of a variable that is not there', () => {
  expect(VARIABLES.length).toBeGreaterThan(20);
  const wrong = VARIABLES.filter((name) => {
    const fallback = ROWS.get(name)?.[0] ?? '';
    if (fallback === 'unset') return false;
    const isDefault =
      /^`.+`$/.test(fallback) && isDeepStrictEqual(loadConfig({ [name]: fallback.slice(1, -1) }), loadConfig({}));
    return !isDefault;
  });
  expect(wrong).toEqual([]);
  const rows = [...ROWS.keys()].filter((name) => /^[A-Z_]+$/.test(name));
  expect(rows.toSorted()).toEqual(VARIABLES.toSorted());
});

test('every error code has a row in docs/publishing.md with its status', () => {
  const wrong = Object.entries(PROBLEMS).filter(([code, { status }]) => ROWS.get(code)?.[0] !== String(status));
  expect(wrong).toEqual([]);
});

test('every refusal and error of the public port has a row in docs/events.md, with its status, and every fault of a token one with its meaning', () => {
  const refusals = [REFUSALS, HTTP_ERRORS].flatMap((registry) => Object.entries(registry));
  const wrong = refusals.filter(([code, { status }]) => CLIENT_ROWS.get(code)?.[0] !== String(status));
  expect(wrong).toEqual([]);
  const vague = Object.entries(TOKEN_ERRORS).filter(([code, meaning]) => !ROWS.get(code)?.[0]?.startsWith(meaning));
  expect(vague).toEqual([]);
});

test('every reason to refuse a subscribe has a row in docs/events.md', () => {
  const codes = Object.keys(SUBSCRIBE_ERRORS);
  expect(codes.length).toBeGreaterThan(3);
  expect(codes.filter((code) => !ROWS.has(code))).toEqual([]);
});

test('every event has a row in docs/events.md', () => {
  const source = read('src/contract/events.ts');
  const declared = ['ServerToClientEvents', 'ClientToServerEvents'].flatMap((name) => [
    ...between(source, `interface ${name} {`, '\n}').matchAll(/^ {2}(\w+):/gm),
  ]);
  const events = new Set<string>([...FEED_EVENTS, ...[...declared].map(([, name = '']) => name)]);
  expect(events.size).toBeGreaterThan(2);
  expect([...events].filter((event) => !ROWS.has(event))).toEqual([]);
});

test('the binary of uWebSockets.js that is installed is the one whose hash docs/binaries.md names', () => {
  const major = process.versions.node.split('.')[0];
  const file = `@uwsjs/${process.platform}-${process.arch}-${major}/uws.node`;
  const path = fileURLToPath(new URL(`../../node_modules/${file}`, import.meta.url));
  const named = ROWS.get(file)?.[0];
  // It names the binaries of the platforms that were tested; the upstream package has no such file.
  if (named === undefined || !existsSync(path)) return;
  expect(`\`${createHash('sha256').update(readFileSync(path)).digest('hex')}\``).toBe(named);
});

test('no row is of an error, a refusal or a fault of a token that is not there', () => {
  const known = new Set([PROBLEMS, REFUSALS, HTTP_ERRORS, TOKEN_ERRORS].flatMap((registry) => Object.keys(registry)));
  // What a client is told in the answer to a subscribe is a union of types, and is compared above.
  const codes = [...ROWS].filter(([, [status = '']]) => /^\d{3}$/.test(status)).map(([code]) => code);
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => !known.has(code))).toEqual([]);
  const tokens = [...ROWS.keys()].filter((name) => name.startsWith('token_'));
  expect(tokens.filter((code) => !known.has(code))).toEqual([]);
});
