import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, read } from './markdown.js';

const OPERATIONS = read('docs/operations.md');

/** The sources in one text. A string that is split over several lines is joined again. */
const SOURCES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => read(`src/${file}`).replaceAll(/'\s*\+\s*'/g, ''))
  .join('\n');

/** The messages in the table of log lines; the first cell of a row may name several. */
function tabled(): string[] {
  const [, section = ''] = OPERATIONS.split(/^## Log lines$/m);
  const [table = ''] = section.split(/^## /m);
  return [...table.matchAll(/^\| (`[^|]+`) +\|/gm)].flatMap(([, cell = '']) => quotedIn(cell));
}

function quotedIn(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, quoted = '']) => quoted);
}

/** Words and punctuation alone: a sentence that somebody would look for in a log, and not a command or a setting. */
const SENTENCE = /^[A-Za-z]+(?:[,;]? [A-Za-z]+){4,}$/;

/** What a message has in the sources, where `…` stands for a value. */
function isLogged(message: string): boolean {
  return message.split('…').every((part) => SOURCES.includes(part.trim()));
}

test('every log line in the table of docs/operations.md is one that the gateway writes', () => {
  const messages = tabled();
  expect(messages.length).toBeGreaterThan(8);
  expect(messages.filter((message) => !isLogged(message))).toEqual([]);
});

test('every log line that the text of docs/operations.md quotes is one that the gateway writes', () => {
  const prose = OPERATIONS.replaceAll(/^```[\s\S]*?^```/gm, '');
  const sentences = quotedIn(prose).filter((quoted) => SENTENCE.test(quoted));
  expect(sentences.length).toBeGreaterThan(6);
  expect(sentences.filter((sentence) => !isLogged(sentence))).toEqual([]);
});
