import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONNECTION_ENDS, EARLY_ENDS } from '../../src/connection-ends.js';
import { ENGINE_REFUSALS, REFUSALS } from '../../src/errors.js';
import { ROOT, read } from './markdown.js';

const EVENTS = read('docs/events.md');

/** The cells of the table whose head begins with these columns, row by row. */
function table(...columns: string[]): string[][] {
  const lines = EVENTS.split('\n');
  const rows = lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const head = rows.findIndex((cells) => columns.every((column, i) => cells[i] === column));
  if (head < 0) throw new Error(`docs/events.md has no table with the columns ${columns.join(', ')}`);
  const end = lines.findIndex((line, i) => i > head && !line.startsWith('|'));
  return rows.slice(head + 2, end);
}

function code(text: string | number): string {
  return `\`${text}\``;
}

describe('docs/events.md has every row of a registry, in its words and in its order', () => {
  test('why connections end', () => {
    expect(table('reason', 'meaning', 'reason at the client')).toEqual(
      Object.entries(CONNECTION_ENDS).map(([reason, { meaning, clientReasons, reconnects, advice }]) => [
        code(reason),
        meaning,
        clientReasons.map(code).join(' or '),
        reconnects ? 'yes' : 'no',
        advice,
      ]),
    );
  });

  test('why connections end before their clients are connected', () => {
    expect(table('cause', 'meaning', 'counted in')).toEqual(
      Object.entries(EARLY_ENDS).map(([cause, { meaning, counted }]) => [
        code(cause),
        meaning,
        counted === undefined ? 'no metric' : code(counted),
      ]),
    );
  });

  test('why the public port refuses a connect', () => {
    expect(
      table('code', 'status', 'meaning')
        .slice(0, Object.keys(REFUSALS).length)
        .map((row) => row.slice(0, 2)),
    ).toEqual(Object.entries(REFUSALS).map(([name, { status }]) => [code(name), String(status)]));
  });

  test('what the Engine.IO protocol refuses', () => {
    const documented = table('number', 'name', 'meaning').map(([number, name]) => [number, name]);
    // 403 is answered by the check of origins, before Engine.IO could.
    const spoken = Object.entries(ENGINE_REFUSALS).filter(([name]) => name !== 'forbidden');
    expect(documented).toEqual(spoken.map(([name, { number }]) => [String(number), code(name)]));
  });
});

test('the metric and the log line of a connection that ended get no other reason: they are written in one place each', () => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
  const using = (pattern: RegExp): string[] =>
    files.flatMap((file) => readFileSync(file, 'utf8').match(new RegExp(pattern, 'g')) ?? []);
  expect(using(/disconnects\.inc\(.*/)).toEqual(['disconnects.inc({ reason }),']);
  expect(using(/.*'client disconnected'.*/)).toHaveLength(1);
  // The types of both hold the rest.
  expect(using(/\bdisconnected\(reason: \w+\)/)).toEqual(['disconnected(reason: EndReason)']);
  const together = /events\.disconnected\(reason\);\s*log\.info\(\{ sid: this\.id, reason \}, 'client disconnected'\);/;
  expect(using(together)).toHaveLength(1);
});
