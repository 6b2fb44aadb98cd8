import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { INTERNALS } from '../src/websocket/engine/internals.js';

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

/** A room of the gateway: a folder of `src/`, the engine inside `websocket/`, or a file that lies in `src/` itself. */
function roomOf(file: string): string {
  if (file.startsWith('websocket/engine/')) return 'websocket/engine/';
  const [first = '', ...rest] = file.split('/');
  return rest.length === 0 ? first : `${first}/`;
}

/** The file below `src/` that an import leads to, or `undefined` for a package. */
function targetFile({ file, target }: Import): string | undefined {
  if (!target.startsWith('.')) return undefined;
  return relative(SRC, resolve(SRC, dirname(file), target)).replace(/\.js$/, '.ts');
}

/** Files that everybody may import: they know nothing of what the gateway does. */
const GROUND = ['connection-ends.ts', 'deadline.ts', 'errors.ts', 'random-name.ts', 'turn-share.ts', 'version.ts'];

/**
 * Who may import whom: main, cli → app → {admin, dashboard, demo, websocket} → {delivery, access} → journal → contract. A
 * room's own files and the {@link GROUND} are always allowed. `types` are rooms of which only types may be imported: they
 * vanish when the code is built.
 */
const MAY_IMPORT: Readonly<Record<string, { code: readonly string[]; types?: readonly string[] }>> = {
  'main.ts': { code: ['cli/'] },
  'cli.ts': { code: ['cli/'] },
  'cli/': { code: ['app/', 'config/', 'contract/', 'http/', 'journal/', 'redis/'] },
  // The composition root: the only room that knows them all.
  'app/': {
    code: 'access/ admin/ config/ contract/ dashboard/ delivery/ demo/ http/ ingest/ journal/ redis/ websocket/'.split(
      ' ',
    ),
  },
  // Doors, and what stands beside them.
  'websocket/': { code: ['access/', 'contract/', 'delivery/', 'http/', 'websocket/engine/'], types: ['journal/'] },
  'websocket/engine/': { code: ['access/', 'contract/', 'http/'] },
  'admin/': { code: ['contract/', 'http/'] },
  'dashboard/': { code: ['contract/', 'http/'], types: ['admin/'] },
  // A producer like any other: it publishes over HTTP and knows nothing of what is behind it.
  'demo/': { code: [], types: ['contract/'] },
  // Out: delivery takes entries of a journal, so it knows what an entry is, and nothing of how a journal works.
  'delivery/': { code: ['access/', 'contract/'], types: ['journal/', 'redis/'] },
  'access/': { code: ['contract/'], types: ['http/'] },
  // In: the journal, its lease and a loader of scripts are handed to it.
  'ingest/': { code: ['contract/'], types: ['redis/'] },
  'journal/': { code: ['contract/', 'redis/'] },
  // The ground.
  'contract/': { code: [] },
  'http/': { code: [] },
  'redis/': { code: [] },
  'config/': { code: ['redis/'] },
  // Runs in browsers: of the gateway it has the types alone.
  'client/': { code: [], types: ['contract/'] },
  ...Object.fromEntries(GROUND.map((file) => [file, { code: [] }])),
};

/** Inside `websocket/`, a file with a place here imports only what stands at a place after its own. */
const WEBSOCKET_ORDER = ['websocket/websocket-manager.ts', 'websocket/rooms.ts', 'websocket/engine/'];

function placeInWebsocket(file: string): number {
  return WEBSOCKET_ORDER.findIndex((one) => file.startsWith(one));
}

/** Who may import a package (a name, or a scope that ends in a slash). `types` are files that may import its types alone. */
const PACKAGES: Readonly<Record<string, { code: RegExp; types?: RegExp }>> = {
  'socket.io': { code: /^websocket\// },
  'socket.io-adapter': { code: /^websocket\// },
  'socket.io-parser': { code: /^websocket\/engine\/parser\.ts$/ },
  'engine.io': { code: /^websocket\// },
  '@socket.io/': { code: /^websocket\/(?:ear-)?adapter\.ts$/ },
  'uWebSockets.js': { code: /^http\/uws\.ts$/, types: /^(?:http|websocket)\/|^app\/(?:app|build-admin-app)\.ts$/ },
  react: { code: /^client\/use-signals\.ts$/ },
  jose: { code: /^access\/(?:token-verifier|published-keys)\.ts$/ },
  'proxy-addr': { code: /^access\/client-address\.ts$|^config\/variables\.ts$/ },
  ioredis: {
    code: /^(?:journal|ingest|redis)\/|^websocket\/(?:adapter|former-pods)\.ts$|^app\/(?:redis-parts|pod-links)\.ts$/,
  },
  'socket.io-client': { code: /^cli\/tail\.ts$|^client\/|^dashboard\/page\// },
  commander: { code: /^cli\// },
  'cli-progress': { code: /^cli\// },
};

test('every room of the sources is in the table of allowed imports, and every room of the table exists', () => {
  expect([...new Set(FILES.map(roomOf))].toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
});

test('imports between the rooms go one way: main, app, the doors, delivery and access, journal, contract', () => {
  const wrong = IMPORTS.filter((one) => {
    const target = targetFile(one);
    if (target === undefined || GROUND.includes(target)) return false;
    const from = roomOf(one.file);
    const to = roomOf(target);
    const rule = MAY_IMPORT[from];
    return to !== from && !rule?.code.includes(to) && !(one.typeOnly && rule?.types?.includes(to));
  });
  expect(wrong).toEqual([]);
});

test('inside websocket/ imports go from the manager over the rooms to the engine', () => {
  const wrong = IMPORTS.filter((one) => {
    const target = targetFile(one);
    return (
      target !== undefined && placeInWebsocket(target) >= 0 && placeInWebsocket(target) < placeInWebsocket(one.file)
    );
  });
  expect(wrong).toEqual([]);
});

test('packages that do the work of one room are imported by that room alone', () => {
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

/** The names that a file exports, not those that it hands on. */
function exportsOf(text: string): string[] {
  const declaration =
    /^export (?:declare |abstract |async )*(?:function\*?|class|const|let|interface|type|enum) (\w+)/gm;
  return [...new Set([...withoutComments(text).matchAll(declaration)].map(([, name = '']) => name))];
}

test('no two source files export the same name: one thing, one place', () => {
  const places = new Map<string, string[]>();
  for (const file of FILES) {
    for (const name of exportsOf(read(file))) places.set(name, [...(places.get(name) ?? []), file]);
  }
  expect(places.size).toBeGreaterThan(300);
  expect([...places].filter(([, files]) => files.length > 1)).toEqual([]);
  // Overloads are one name, and what is not exported may have any.
  expect(exportsOf('export function a(): void;\nexport function a() {}\nconst b = 1;\nexport type C = 1;')).toEqual([
    'a',
    'C',
  ]);
});

test('requests and responses of uWebSockets.js are known to src/http/ alone: no handler goes past the error boundary', () => {
  const outside = FILES.filter((file) => !file.startsWith('http/'));
  expect(outside.filter((file) => /\bHttpRe(?:quest|sponse)\b/.test(withoutComments(read(file))))).toEqual([]);
  const apps = FILES.filter((file) => /\.(?:SSL)?App\(/.test(read(file)));
  // The check of the dependencies looks at an app that it closes at once.
  expect(apps).toEqual(['app/build-admin-app.ts', 'http/public-app.ts', 'websocket/check-internals.ts']);
  for (const file of apps.slice(0, 2)) expect(read(file)).toContain('new GuardedApp(');
});

/** Where private members of dependencies may be named: their types and the table of them, and the check at start. */
const INTERNALS_FILES = [
  'websocket/engine/internals.ts',
  'websocket/check-internals.ts',
  // Those of ioredis, which it also checks.
  'redis/cluster-endpoints.ts',
];

/**
 * Files that may tell the compiler that a value is of a type that it does not have. It is an object of ours that a package
 * takes for one of its own, or an overload that its types leave out; private members of a package are in neither.
 */
const CASTS = ['websocket/engine/native-socket.ts', 'access/client-address.ts', 'http/listener.ts'];

/** The code of all files but {@link INTERNALS_FILES}. */
const CODE = FILES.filter((file) => !INTERNALS_FILES.includes(file)).map(
  (file) => [file, withoutComments(read(file))] as const,
);

/** What a pattern finds in the code of a file: its first group, or all of it. */
function matches(code: string, pattern: RegExp): string[] {
  return [...code.matchAll(pattern)].map(([all, group]) => group ?? all);
}

test('private members of dependencies that the sources use are all in the table of websocket/engine/internals.ts', () => {
  const listed = new Set(
    Object.values(INTERNALS).flatMap((owners) => Object.values(owners).flatMap((members) => Object.keys(members))),
  );
  const used = CODE.flatMap(([file, code]) =>
    matches(code, /(?:\.|\b(?:override|get|set) )(_[a-zA-Z]\w*)/g).map((name) => ({ file, name })),
  );
  expect(used.length).toBeGreaterThan(10);
  expect(used.filter(({ name }) => !listed.has(name))).toEqual([]);
});

test('private members of dependencies are reached through websocket/engine/internals.ts, and not by casts elsewhere', () => {
  const casts = CODE.filter(([, code]) => /\bas unknown as\b|\bas any\b/.test(code)).map(([file]) => file);
  expect(casts.filter((file) => !CASTS.includes(file))).toEqual([]);
});

/** Objects of ours that the next test cannot tell from those of a dependency by their names, with what is set of them. */
const OURS = new Set([
  // FeedClient.
  'client.slot',
  'client.askedAtKb',
  'client.walk',
  // FastConnection.
  ...['receiver', 'bucket', 'slot', 'pingedTick', 'heardTick', 'isSlow'].map((name) => `connection.${name}`),
  // GuardedRequest and GuardedResponse, as engine.io and handlers of ours know them.
  'req.res',
  'res.code',
  'res.chooseExtensions',
  // EngineServer.
  'server.fast',
]);

test('nothing is assigned onto instances or prototypes of dependencies: their classes are extended, or wrapped', () => {
  const patched = CODE.flatMap(([file, code]) =>
    matches(code, /\bObject\.(?:assign|definePropert(?:y|ies)|setPrototypeOf)\(\s*([^,]+),/g)
      .filter((target) => !/^(?:this$|new |\{|socket\.data$|jsonSchema$)/.test(target))
      .map((target) => ({ file, target })),
  );
  expect(patched).toEqual([]);
  // Whoever sets `x` of a `socket`, a `server`, an `adapter` … has a class of its own, or is in the list above.
  const set = CODE.filter(([file]) => /^(?:websocket|delivery|access|redis)\//.test(file)).flatMap(([file, code]) =>
    matches(
      code,
      /\b((?:\w*[sS]ocket|\w*[sS]erver|\w*[aA]dapter|\w*[nN]amespace|\w*[tT]ransport|\w*[cC]onnection|conn|nsp|sio|io|native|ws|redis|cluster|client|app|req|res)\.\w+)\s*(?:[-+]|\?\?|\|\||&&)?=(?![=>])/g,
    ).map((target) => ({ file, target })),
  );
  expect(set.filter(({ target }) => !OURS.has(target))).toEqual([]);
  expect(CODE.filter(([, code]) => /\.prototype(?:\.\w+|\[[^\]]+\])\s*=(?![=>])/.test(code))).toEqual([]);
});

/** The beginning of a Socket.IO packet as text, alone or in an Engine.IO message: a type, maybe a namespace and a number, then JSON. */
const PACKET_LITERAL =
  /['"`]4?[0-6](?:\/[^,'"`]*,)?\d*(?:[[{]|\$\{(?:JSON|prefix))|['"`]4[0-6]['"`]|\/\^4?[0-6](?:\(|\\[[{])/;

test('Socket.IO packets are written and read by contract/packet.ts alone', () => {
  const found = FILES.filter((file) => PACKET_LITERAL.test(withoutComments(read(file))));
  expect(found).toEqual(['contract/packet.ts']);
  for (const text of [
    '`2["welcome",${json}]`',
    "'40'",
    '`0{"sid":"${sid}"}`',
    "'44{}'",
    '`430[${answer}]`',
    '/^42(?:x)/',
  ])
    expect(text).toMatch(PACKET_LITERAL);
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
