import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import * as journalScripts from '../../src/journal/redis-scripts.js';
import { LuaScript, luaScript, scriptLoader } from '../../src/redis/lua-script.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ROOT = new URL('../../', import.meta.url);
const FILES = readdirSync(new URL('src/', ROOT), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.lua'))
  .toSorted();
/** Not run by themselves: they stand in front of other scripts. */
const PASSAGES = ['delivery/lua/kept-topics.lua', 'journal/lua/epoch.lua', 'journal/lua/own.lua'];

function textOf(file: string): string {
  return readFileSync(new URL(`src/${file}`, ROOT), 'utf8');
}

/** The comment that a script begins with, and the code below it without its comments. */
function parts(file: string): { readonly header: readonly string[]; readonly body: string } {
  const lines = textOf(file).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('--'));
  const code = lines.slice(end).map((line) => line.replace(/(?:^|\s)--.*$/, ''));
  return { header: lines.slice(0, end), body: code.join('\n') };
}

/** Numbers from 1 on. */
function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function numbersIn(text: string, pattern: RegExp): number[] {
  return [...new Set([...text.matchAll(pattern)].map(([, number]) => Number(number)))].toSorted((a, b) => a - b);
}

/** Every script as it is sent, by its own file. */
function sources(): ReadonlyMap<string, string> {
  const loaded = [
    ...Object.values(journalScripts),
    ...FILES.filter((file) => !file.startsWith('journal/')).map((file) =>
      luaScript(
        new URL(`src/${file}`, ROOT),
        ...PASSAGES.filter((passage) => dirname(passage) === dirname(file)).map((name) => new URL(`src/${name}`, ROOT)),
      ),
    ),
  ].map(({ source }) => source);
  return new Map(
    FILES.filter((file) => !PASSAGES.includes(file)).map((file) => [
      file,
      loaded.find((source) => source.endsWith(textOf(file))) ?? `${file} is loaded by nobody`,
    ]),
  );
}

describe.each(FILES.filter((file) => !PASSAGES.includes(file)))('the header of %s', (file) => {
  const { header, body } = parts(file);

  test.each(['KEYS', 'ARGV'])('names the %s that the script uses, in order', (list) => {
    const named = header.flatMap((line) => {
      const [, number, isOpen, text = ''] = new RegExp(String.raw`^-- ${list}\[(\d+)(…?)\]\s+(\S.*)`).exec(line) ?? [];
      return number === undefined ? [] : [{ number: Number(number), isOpen: isOpen === '…', text }];
    });
    expect(named.map(({ number }) => number)).toEqual(upTo(named.length));
    const read = named.filter(({ isOpen, text }) => !isOpen && !text.includes('(not read)'));
    expect(numbersIn(body, new RegExp(String.raw`\b${list}\[(\d+)\]`, 'g'))).toEqual(read.map(({ number }) => number));
    expect(body.includes(`#${list}`)).toBe(named.some(({ isOpen }) => isOpen));
  });

  test('says what the script answers, and why it is one step', () => {
    const text = header.join('\n');
    expect(text).toMatch(/^-- Answers /m);
    expect(text).toMatch(/^-- Atomic/m);
    const answers = [...body.matchAll(/\breturn \{?'([\w-]+)'/g)].map(([, answer]) => `'${answer}'`);
    expect(answers.filter((answer) => !text.includes(answer))).toEqual([]);
    expect(/\breturn\b/.test(body)).toBe(!text.includes('-- Answers nothing.'));
  });
});

test('every script of the sources is loaded, and is Lua that Redis takes', async () => {
  const redis = (await RedisServer.start(cleanup)).client(cleanup);
  for (const [file, source] of sources()) {
    expect(await redis.script('LOAD', source).catch((error: Error) => `${file}: ${error.message}`)).toMatch(
      /^[0-9a-f]{40}$/,
    );
  }
});

test('the build puts every script where the built module looks for it', () => {
  expect(FILES).not.toEqual([]);
  const wrong = FILES.filter((file) => {
    const built = new URL(`dist/${file}`, ROOT);
    return !existsSync(built) || readFileSync(built, 'utf8') !== textOf(file);
  });
  expect(wrong).toEqual([]);
});

test('a script is carried out once by a Redis that does not know it yet, and by one that has forgotten it', async () => {
  const redis = (await RedisServer.start(cleanup)).client(cleanup);
  const script = new LuaScript("return redis.call('INCRBY', KEYS[1], ARGV[1])");
  expect(await script.run(redis, ['counter'], [2])).toBe(2);
  expect(await script.run(redis, ['counter'], [2])).toBe(4);
  await redis.script('FLUSH');
  expect(await script.run(redis, ['counter'], [2])).toBe(6);
});

test('a script whose file is missing is refused when it is loaded, by a message that names the file', () => {
  const load = scriptLoader({ evalsha: () => Promise.resolve(), eval: () => Promise.resolve() });
  expect(() => load(new URL('lua/no-such.lua', ROOT))).toThrow(/lua\/no-such\.lua/);
});
