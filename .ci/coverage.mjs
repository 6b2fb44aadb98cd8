// Which lines of src/ the tests run: npm run coverage [-- arguments of Vitest, such as a test file]
//
// Vitest counts what its own processes load. Most of the gateway runs in pods, which tests start from dist/: Node.js writes
// what these ran into a folder (NODE_V8_COVERAGE), and it is mapped back to src/ with the source maps of the build. Both
// are put together here. The dashboard's page runs in a browser and is not counted.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
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
/** How often what child processes wrote is taken from the disk. */
const COLLECT_MS = 5000;
const NOT_COUNTED = join(ROOT, 'src/dashboard/page/');

/** What all child processes together ran of each file of dist/, as V8 counts it. */
export class ChildCoverage {
  #folder;
  #scripts = new Map();

  /** @param folder - that the processes write to */
  constructor(folder) {
    this.#folder = folder;
  }

  get scripts() {
    return [...this.#scripts.values()];
  }

  /** Adds what has been written so far and deletes it: a pod writes 4 MB, and the tests start more than a thousand. */
  collect() {
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      let result;
      try {
        ({ result } = JSON.parse(readFileSync(path, 'utf8')));
      } catch {
        continue; // It is still being written, or its process was killed meanwhile.
      }
      rmSync(path);
      for (const script of result) if (script.url.startsWith(DIST)) this.#add(script);
    }
  }

  #add(script) {
    const before = this.#scripts.get(script.url);
    this.#scripts.set(script.url, before === undefined ? script : mergeScriptCovs([before, script]));
  }
}

/** Runs the tests. @returns the exit code */
async function runTests(args, children) {
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
  const tests = spawn('npx', ['vitest', 'run', '--coverage', ...flags, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_OPTIONS: `${NODE_OPTIONS} --require=${JSON.stringify(preload)}`,
      CHILD_COVERAGE_DIR: CHILDREN,
    },
  });
  const timer = setInterval(() => children.collect(), COLLECT_MS);
  const [code] = await once(tests, 'close');
  clearInterval(timer);
  children.collect();
  return code ?? 1;
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
 * @param children - what the child processes ran
 */
export async function mapOf(tests, children) {
  const inTests = coverage.createCoverageMap(existsSync(tests) ? JSON.parse(readFileSync(tests, 'utf8')) : {});
  const inChildren = coverage.createCoverageMap({});
  for (const script of children.scripts) inChildren.merge(await toSources(script));
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
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(CHILDREN, { recursive: true });
  const children = new ChildCoverage(CHILDREN);
  const code = await runTests(process.argv.slice(2), children);
  const coverageMap = await mapOf(join(TESTS, 'coverage-final.json'), children);
  rmSync(CHILDREN, { recursive: true });
  const context = report.createContext({ dir: OUT, coverageMap });
  reports.create('html-spa', { metricsToShow: ['lines'] }).execute(context);
  print(coverageMap);
  console.log(`\nThe lines themselves: ${join(OUT, 'index.html')}`);
  process.exitCode = code;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
