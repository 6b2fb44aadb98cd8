import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
const MAX_LINES = 400;

/** One import of one file. */
interface Import {
  /** Path below `src/` of the importing file. */
  readonly file: string;
  /** What stands in the quotes. */
  readonly target: string;
  readonly typeOnly: boolean;
}

const FILES = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(SRC, join(entry.parentPath, entry.name)))
  .toSorted();

function read(file: string): string {
  return readFileSync(join(SRC, file), 'utf8');
}

/** The code without its comments, in which an import may be quoted; strings with `//` in them are left whole enough. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

/** Reads the imports of a source text: static ones, `export … from`, `import()` and calls of a `createRequire`. */
function importsOf(file: string, text: string): Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (const match of code.matchAll(
    /^\s*(?:import|export)\s+(type\s)?([\w\s{},*$]*?)\s*from\s*'([^']+)'|^\s*import\s*'([^']+)'/gm,
  )) {
    const names = match[2] ?? '';
    const inBraces = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1];
    const allTypes =
      inBraces !== undefined &&
      inBraces
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '')
        .every((name) => name.startsWith('type '));
    found.push({ file, target: match[3] ?? match[4] ?? '', typeOnly: match[1] !== undefined || allTypes });
  }
  for (const match of code.matchAll(/(?:\bimport|\brequire|createRequire\([^()]*\))\s*\(\s*'([^']+)'\s*\)/g)) {
    found.push({ file, target: match[1] ?? '', typeOnly: false });
  }
  return found;
}

const IMPORTS = FILES.flatMap((file) => importsOf(file, read(file)));

/** A part of the gateway: a folder of `src/`, or a file that lies in `src/` itself. */
function partOf(file: string): string {
  const [first = '', ...rest] = file.split('/');
  return rest.length === 0 ? first : `${first}/`;
}

/** The part an import leads to, or `undefined` for a package. */
function targetPart({ file, target }: Import): string | undefined {
  if (!target.startsWith('.')) return undefined;
  return partOf(relative(SRC, resolve(SRC, dirname(file), target)).replace(/\.js$/, '.ts'));
}

/** Parts that everybody may import: they know nothing of what the gateway does. */
const LEAVES = ['deadline.ts', 'errors.ts'];

/**
 * Who may import whom: main → app → {ingest, fanout, websocket, admin, dashboard, journal, redis} → contract. A part's own files and the
 * {@link LEAVES} are always allowed. `types` are parts of which only types may be imported: they vanish when the code is built.
 */
const MAY_IMPORT: Readonly<Record<string, { code: readonly string[]; types?: readonly string[] }>> = {
  'main.ts': { code: ['app.ts', 'banner.ts', 'config.ts', 'log.ts', 'uws.ts'] },
  'app.ts': {
    code: 'admin/ contract/ dashboard/ fanout/ ingest/ journal/ redis/ websocket/ app-redis.ts banner.ts config.ts certificate.ts http-listener.ts log.ts public-app.ts stop.ts uws.ts version.ts'.split(
      ' ',
    ),
  },
  // The half of the composition root that exists only with Redis.
  'app-redis.ts': { code: ['contract/', 'ingest/', 'journal/', 'redis/', 'websocket/'], types: ['config.ts'] },
  'banner.ts': { code: ['redis/'] },
  'config.ts': { code: ['redis/', 'variable.ts'] },
  'variable.ts': { code: [] },
  'log.ts': { code: [], types: ['config.ts'] },
  'uws.ts': { code: [] },
  'certificate.ts': { code: [] },
  'public-app.ts': { code: ['http-listener.ts'], types: ['uws.ts'] },
  'stop.ts': { code: [] },
  'version.ts': { code: [] },
  'http-listener.ts': { code: [], types: ['uws.ts'] },
  'deadline.ts': { code: [] },
  'errors.ts': { code: [] },
  'contract/': { code: [] },
  'journal/': { code: ['contract/'] },
  // Fan-out and replay take journal entries, so they know what an entry is, and nothing of how a journal works.
  'fanout/': { code: ['contract/'], types: ['journal/'] },
  'ingest/': { code: ['contract/'] },
  'websocket/': { code: ['contract/'], types: ['journal/', 'uws.ts'] },
  'admin/': { code: ['contract/'] },
  'dashboard/': { code: ['contract/'] },
  'redis/': { code: [] },
};

/** Who may import a package (a name, or a scope that ends in a slash). `types` are files that may import its types alone. */
const PACKAGES: Readonly<Record<string, { code: RegExp; types?: RegExp }>> = {
  'socket.io': { code: /^websocket\// },
  'socket.io-adapter': { code: /^websocket\// },
  'engine.io': { code: /^websocket\// },
  '@socket.io/': { code: /^websocket\/adapter\.ts$/ },
  'uWebSockets.js': {
    code: /^uws\.ts$/,
    types: /^(?:uws|http-listener|public-app|app)\.ts$|^(?:websocket|admin|dashboard)\//,
  },
  jose: { code: /^websocket\/authentication\.ts$/ },
  'proxy-addr': { code: /^websocket\/client-address\.ts$|^config\.ts$/ },
  ioredis: { code: /^(?:journal|ingest|redis)\/|^websocket\/adapter\.ts$|^app(?:-redis)?\.ts$/ },
};

test('every part of the sources is in the table of who may import whom', () => {
  const missing = [...new Set(FILES.map(partOf))].filter((part) => MAY_IMPORT[part] === undefined);
  expect(missing).toEqual([]);
});

test('imports between the parts go one way: main, app, the parts, contract', () => {
  const wrong = IMPORTS.filter((one) => {
    const from = partOf(one.file);
    const to = targetPart(one);
    if (to === undefined || to === from || LEAVES.includes(to)) return false;
    const rule = MAY_IMPORT[from];
    return !rule?.code.includes(to) && !(one.typeOnly && rule?.types?.includes(to));
  });
  expect(wrong).toEqual([]);
});

test('packages that do the work of one part are imported by that part alone', () => {
  const wrong = IMPORTS.filter(({ file, target, typeOnly }) =>
    Object.entries(PACKAGES).some(([name, { code, types }]) => {
      const isIt = name.endsWith('/') ? target.startsWith(name) : target === name || target.startsWith(`${name}/`);
      return isIt && !code.test(file) && !(typeOnly && types?.test(file));
    }),
  );
  expect(wrong).toEqual([]);
});

test('no file hands on what others export', () => {
  expect(FILES.filter((file) => basename(file) === 'index.ts')).toEqual([]);
  const handedOn = FILES.filter((file) => /^\s*export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;]*from\s*'/m.test(read(file)));
  expect(handedOn).toEqual([]);
});

test('no source file is named after nothing', () => {
  expect(FILES.filter((file) => /(?:^|\/|-)(?:utils?|helpers?|common|misc)(?:-|\.ts$|\/)/.test(file))).toEqual([]);
});

test(`no source file is longer than ${MAX_LINES} lines`, () => {
  expect(FILES.filter((file) => read(file).split('\n').length - 1 > MAX_LINES)).toEqual([]);
});

test('the reader of imports sees every kind of import, and none in a comment', () => {
  const text = [
    "import { a } from './a.js';",
    "import type { b } from './b.js';",
    "import { type c, type d } from './c.js';",
    "import e, {\n  type f,\n  g,\n} from './e.js';",
    "import './side.js';",
    "export { h } from './h.js';",
    "const i = await import('./i.js');",
    "createRequire(import.meta.url)('./j.js');",
    "// import { k } from './k.js';",
    "/** import { l } from './l.js'; */",
  ].join('\n');
  expect(importsOf('x.ts', text).map(({ target, typeOnly }) => [target, typeOnly])).toEqual([
    ['./a.js', false],
    ['./b.js', true],
    ['./c.js', true],
    ['./e.js', false],
    ['./side.js', false],
    ['./h.js', false],
    ['./i.js', false],
    ['./j.js', false],
  ]);
  // Nothing is lost in the real sources either.
  const quoted = FILES.flatMap((file) => withoutComments(read(file)).match(/\sfrom\s*'[^']+'/g) ?? []);
  expect(IMPORTS.length).toBeGreaterThanOrEqual(quoted.length);
  expect(IMPORTS.length).toBeGreaterThan(50);
});
