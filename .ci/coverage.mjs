// Which lines of src/ the tests run: npm run coverage [-- arguments of Vitest, such as a test file]
//
// Vitest counts what its own processes load. Most of the gateway runs in pods, which tests start from dist/: Node.js writes
// what these ran into a folder (NODE_V8_COVERAGE), and it is mapped back to src/ with the source maps of the build. Both
// are put together here. The dashboard's page runs in a browser and is not counted.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { mergeScriptCovs } from '@bcoe/v8-coverage';
import { convert } from 'ast-v8-to-istanbul';
import coverage from 'istanbul-lib-coverage';
import report from 'istanbul-lib-report';
import reports from 'istanbul-reports';
import { parseAstAsync } from 'vite';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUT = join(ROOT, 'coverage');
const TESTS = join(OUT, 'tests');
const CHILDREN = join(OUT, 'children');
const DIST = pathToFileURL(join(ROOT, 'dist/')).href;
const SOURCES = join(ROOT, 'src/');
const NOT_COUNTED = join(ROOT, 'src/dashboard/page/');

/** Runs the tests. @returns the exit code */
function runTests(args) {
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(CHILDREN, { recursive: true });
  const preload = join(ROOT, 'test/support/coverage-preload.cjs');
  const options = {
    provider: 'v8',
    reporter: 'json',
    reportsDirectory: TESTS,
    include: 'src/**/*.ts',
    exclude: 'src/dashboard/page/**',
    reportOnFailure: 'true',
  };
  const flags = Object.entries(options).map(([name, value]) => `--coverage.${name}=${value}`);
  const { NODE_OPTIONS = '' } = process.env;
  const { status } = spawnSync('npx', ['vitest', 'run', '--coverage', ...flags, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_OPTIONS: `${NODE_OPTIONS} --require=${JSON.stringify(preload)}`,
      CHILD_COVERAGE_DIR: CHILDREN,
    },
  });
  return status ?? 1;
}

/** What all child processes together ran of each file of dist/, as V8 counts it. */
function ranInChildren(folder) {
  const scripts = new Map();
  for (const name of readdirSync(folder)) {
    let parsed;
    try {
      parsed = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    } catch {
      continue; // Killed while it wrote.
    }
    for (const script of parsed.result) {
      if (!script.url.startsWith(DIST)) continue;
      const before = scripts.get(script.url);
      scripts.set(script.url, before === undefined ? script : mergeScriptCovs([before, script]));
    }
  }
  return [...scripts.values()];
}

/** The source map that a file names in its last line, with paths made absolute. */
function sourceMapOf(path, code) {
  const name = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(code)?.[1];
  if (name === undefined) return undefined;
  const map = JSON.parse(readFileSync(join(dirname(path), name), 'utf8'));
  const base = resolve(dirname(path), map.sourceRoot ?? '');
  return { ...map, sourceRoot: '', sources: map.sources.map((source) => pathToFileURL(resolve(base, source)).href) };
}

/** Maps what a file of dist/ ran back to src/. */
async function toSources(script) {
  const path = fileURLToPath(script.url);
  const code = readFileSync(path, 'utf8');
  const sourceMap = sourceMapOf(path, code);
  if (sourceMap === undefined) return {};
  return convert({ code, sourceMap, ast: parseAstAsync(code), coverage: script });
}

/** How often each line of a file ran on which a statement begins, in the form that reports are made from. */
function lineByLine(path, ...coverages) {
  const hits = new Map();
  for (const counted of coverages) {
    for (const [line, count] of Object.entries(counted.getLineCoverage()))
      hits.set(line, (hits.get(line) ?? 0) + count);
  }
  const texts = readFileSync(path, 'utf8').split('\n');
  const location = (line) => ({ start: { line, column: 0 }, end: { line, column: texts[line - 1].length } });
  return {
    path,
    statementMap: Object.fromEntries([...hits.keys()].map((line) => [line, location(Number(line))])),
    s: Object.fromEntries(hits),
    fnMap: {},
    f: {},
    branchMap: {},
    b: {},
  };
}

/**
 * Puts together what the tests and their child processes ran, by lines: the two come from different compilers, whose
 * statements and branches differ by columns.
 *
 * @param tests - the report of Vitest, if there is one
 * @param children - the folder that child processes wrote to
 */
export async function collect(tests, children) {
  const inTests = coverage.createCoverageMap(existsSync(tests) ? JSON.parse(readFileSync(tests, 'utf8')) : {});
  const inChildren = coverage.createCoverageMap({});
  for (const script of ranInChildren(children)) inChildren.merge(await toSources(script));
  const together = coverage.createCoverageMap({});
  for (const path of new Set([...inTests.files(), ...inChildren.files()])) {
    if (!path.startsWith(SOURCES) || path.startsWith(NOT_COUNTED)) continue;
    const counted = [inTests, inChildren].filter((map) => map.files().includes(path));
    together.addFileCoverage(lineByLine(path, ...counted.map((map) => map.fileCoverageFor(path))));
  }
  return together;
}

/** Prints the figure of every folder of src/, and of all. */
function print(map) {
  const folders = new Map();
  for (const path of map.files()) {
    const [folder, ...more] = relative(SOURCES, path).split(sep);
    for (const name of [more.length > 0 ? `src/${folder}/` : 'src/*.ts', 'all of src/']) {
      const summary = folders.get(name) ?? coverage.createCoverageSummary();
      folders.set(name, summary.merge(map.fileCoverageFor(path).toSummary()));
    }
  }
  const all = folders.get('all of src/');
  folders.delete('all of src/');
  console.log('\nLines that the tests ran, in their own processes and in those that they started:');
  for (const [name, { lines }] of [...[...folders].toSorted(([a], [b]) => (a < b ? -1 : 1)), ['all of src/', all]]) {
    console.log(
      `  ${name.padEnd(18)}${`${lines.pct} %`.padStart(9)}${`${lines.covered} of ${lines.total}`.padStart(16)}`,
    );
  }
}

async function main() {
  const status = runTests(process.argv.slice(2));
  const coverageMap = await collect(join(TESTS, 'coverage-final.json'), CHILDREN);
  rmSync(CHILDREN, { recursive: true });
  const context = report.createContext({ dir: OUT, coverageMap });
  reports.create('html-spa', { metricsToShow: ['lines'] }).execute(context);
  print(coverageMap);
  console.log(`\nThe lines themselves: ${join(OUT, 'index.html')}`);
  process.exitCode = status;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
