import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { machine, versions } from './machine.js';
import { type Options, type Plan, UsageError, readOptions } from './options.js';
import { comparisonText } from './report/baseline-text.js';
import { compare } from './report/baseline.js';
import { writeFiles } from './report/files.js';
import { showProgress } from './report/progress.js';
import { drawScenario } from './report/table.js';
import { countMarks, gatewayFaults } from './report/verdict.js';
import type { BenchResult, ScenarioResult } from './result.js';
import { OFFER } from './scenarios/all.js';
import { StopSignal } from './stop.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NARROWEST = 80;
/** Of a file that the tables are written into. */
const WIDTH_OF_FILES = 140;

/** Runs a scenario. One that breaks is in the result too, as a scenario without figures that says why. */
async function measure({ scenario, settings }: Plan, stop: StopSignal): Promise<ScenarioResult | undefined> {
  const { name, title } = scenario;
  const progress = showProgress(name, process.stderr);
  try {
    return await scenario.run(settings, stop.guard(progress));
  } catch (error) {
    if (stop.stopped) return undefined;
    process.exitCode = 1;
    return { name, title, settings: {}, tables: [], notes: [`It failed: ${(error as Error).message}.`] };
  } finally {
    progress.done();
  }
}

async function measureAll(plans: readonly Plan[], stop: StopSignal): Promise<ScenarioResult[]> {
  const style = {
    width: process.stdout.isTTY ? Math.max(NARROWEST, process.stdout.columns) : WIDTH_OF_FILES,
    colours: process.stdout.isTTY && process.stdout.hasColors(),
  };
  const done: ScenarioResult[] = [];
  for (const plan of plans) {
    const result = await measure(plan, stop);
    if (result === undefined || stop.stopped) break;
    done.push(result);
    console.log(`${drawScenario(result, style)}\n`);
  }
  return done;
}

/** Says what the whole run means, and sets the exit code. */
function conclude(result: BenchResult, { baseline, tolerance }: Options): void {
  const { rows, marked } = countMarks(result);
  if (marked > 0) console.log(`! ${marked} of ${rows} rows are marked: don't rely on them.`);
  for (const fault of gatewayFaults(result)) {
    console.log(`! ${fault}`);
    process.exitCode = 1;
  }
  if (baseline === undefined) return;
  const comparison = compare(baseline, result, tolerance);
  console.log(`\n${comparisonText(comparison, tolerance)}`);
  if (!comparison.ok) process.exitCode = 1;
}

async function run(args: readonly string[]): Promise<void> {
  const options = readOptions(args, OFFER);
  const startedAt = new Date();
  const out = options.out ?? join(ROOT, 'bench/out', startedAt.toISOString().slice(0, 19).replaceAll(':', '-'));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
  const stop = new StopSignal();
  try {
    const scenarios = await measureAll(options.plans, stop);
    const result: BenchResult = {
      schema: 1,
      startedAt: startedAt.toISOString(),
      seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
      // Without the folder: it says nothing of the run, and may be on a machine of somebody's own.
      command: args.join(' ').replace(/ ?--out[ =]\S+/, ''),
      machine: machine(),
      versions: versions(),
      scenarios,
    };
    if (scenarios.length > 0) console.log(`The report is ${writeFiles(out, result)}`);
    if (stop.stopped) {
      console.log('Interrupted; a scenario that was under way is left out.');
      process.exitCode = 130;
    } else {
      conclude(result, options);
    }
  } finally {
    stop.release();
  }
}

// The report is in files: a reader that has seen enough, as head has, ends nothing.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
try {
  await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.exitCode = error.exitCode;
}
