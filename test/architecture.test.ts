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
const LEAVES = ['deadline.ts', 'errors.ts', 'loopback.ts', 'random-name.ts'];

/**
 * Who may import whom: main, cli → cli/ → gateway-process → app → {ingest, fanout, websocket, admin, dashboard, journal, redis} → contract. A part's own files and the
 * {@link LEAVES} are always allowed. `types` are parts of which only types may be imported: they vanish when the code is built.
 */
const MAY_IMPORT: Readonly<Record<string, { code: readonly string[]; types?: readonly string[] }>> = {
  'main.ts': { code: ['cli/'] },
  'cli.ts': { code: ['cli/'] },
  'cli/': { code: ['config.ts', 'contract/', 'gateway-process.ts', 'redis/', 'uws.ts', 'version.ts'] },
  'gateway-process.ts': { code: ['app.ts', 'banner.ts', 'config.ts', 'demo/', 'log.ts', 'uws.ts'] },
  // A producer like any other: it publishes over HTTP and knows nothing of what is behind it.
  'demo/': { code: [], types: ['contract/'] },
  'app.ts': {
    code: 'admin/ contract/ fanout/ http/ ingest/ journal/ redis/ websocket/ app-dashboard.ts app-observers.ts app-publisher.ts app-redis.ts banner.ts config.ts certificate.ts http-listener.ts log.ts public-app.ts stop.ts uws.ts version.ts'.split(
      ' ',
    ),
  },
  // The half of the composition root that exists only with Redis.
  'app-redis.ts': { code: ['contract/', 'ingest/', 'journal/', 'redis/', 'websocket/'], types: ['config.ts'] },
  // The part of the composition root that only exists when the dashboard is on.
  'app-dashboard.ts': { code: ['admin/', 'dashboard/'], types: ['http/'] },
  // What happens, counted and logged.
  'app-observers.ts': { code: ['admin/', 'http/'], types: ['fanout/', 'websocket/'] },
  'app-publisher.ts': { code: ['contract/', 'journal/'], types: ['admin/'] },
  'banner.ts': { code: ['redis/'] },
  'config.ts': { code: ['origin-list.ts', 'redis/', 'variable.ts'] },
  'origin-list.ts': { code: ['variable.ts'] },
  'variable.ts': { code: [] },
  'log.ts': { code: [], types: ['config.ts'] },
  'uws.ts': { code: ['http/'] },
  'certificate.ts': { code: [] },
  'public-app.ts': { code: ['http/', 'http-listener.ts'], types: ['uws.ts'] },
  'stop.ts': { code: [] },
  'version.ts': { code: [] },
  'http-listener.ts': { code: [], types: ['uws.ts'] },
  'deadline.ts': { code: [] },
  'errors.ts': { code: [] },
  'loopback.ts': { code: [] },
  'random-name.ts': { code: [] },
  // What everybody serves HTTP with; it knows codes of errors and nothing else.
  'http/': { code: [] },
  'contract/': { code: [] },
  'journal/': { code: ['contract/'] },
  // Fan-out and replay take journal entries, so they know what an entry is, and nothing of how a journal works.
  'fanout/': { code: ['contract/'], types: ['journal/'] },
  'ingest/': { code: ['contract/'] },
  'websocket/': { code: ['contract/', 'http/'], types: ['journal/', 'uws.ts'] },
  'admin/': { code: ['contract/', 'http/'] },
  'dashboard/': { code: ['contract/'], types: ['admin/', 'http/'] },
  'redis/': { code: [] },
  // Runs in browsers: of the gateway it has the types alone.
  'client/': { code: [], types: ['contract/'] },
};

/** Who may import a package (a name, or a scope that ends in a slash). `types` are files that may import its types alone. */
const PACKAGES: Readonly<Record<string, { code: RegExp; types?: RegExp }>> = {
  'socket.io': { code: /^websocket\// },
  'socket.io-adapter': { code: /^websocket\// },
  'socket.io-parser': { code: /^websocket\/parser\.ts$/ },
  'engine.io': { code: /^websocket\// },
  '@socket.io/': { code: /^websocket\/adapter\.ts$/ },
  'uWebSockets.js': {
    code: /^uws\.ts$/,
    types: /^(?:uws|http-listener|public-app|app)\.ts$|^(?:http|websocket)\//,
  },
  react: { code: /^client\/use-signals\.ts$/ },
  jose: { code: /^websocket\/(?:authentication|published-keys)\.ts$/ },
  'proxy-addr': { code: /^websocket\/client-address\.ts$|^config\.ts$/ },
  ioredis: { code: /^(?:journal|ingest|redis)\/|^websocket\/adapter\.ts$|^app(?:-redis)?\.ts$/ },
  'socket.io-client': { code: /^cli\/tail\.ts$|^client\/|^dashboard\/page\// },
  commander: { code: /^cli\// },
  'cli-progress': { code: /^cli\// },
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

/** What the package's `exports` name: who uses the package can import from no other file, so these hand on what their own types name. */
const ENTRIES = ['client/signal-client.ts', 'client/use-signals.ts'];

test('no file hands on what others export, but the entries of the package', () => {
  const { exports } = JSON.parse(readFileSync(join(SRC, '../package.json'), 'utf8')) as { exports: object };
  const built = [...JSON.stringify(exports).matchAll(/"\.\/dist\/([^"]+)\.js"/g)].map(([, path = '']) => `${path}.ts`);
  expect(ENTRIES).toEqual(built);
  expect(FILES.filter((file) => basename(file) === 'index.ts')).toEqual([]);
  const handedOn = FILES.filter((file) => /^\s*export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;]*from\s*'/m.test(read(file)));
  expect(handedOn.filter((file) => !ENTRIES.includes(file))).toEqual([]);
});

test('requests and responses of uWebSockets.js are known to src/http/ alone: no handler goes past the error boundary', () => {
  const outside = FILES.filter((file) => !file.startsWith('http/'));
  expect(outside.filter((file) => /\bHttpRe(?:quest|sponse)\b/.test(withoutComments(read(file))))).toEqual([]);
  const apps = FILES.filter((file) => /\.(?:SSL)?App\(/.test(read(file)));
  expect(apps).toEqual(['app.ts', 'public-app.ts']);
  for (const file of apps) expect(read(file)).toContain('new GuardedApp(');
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
