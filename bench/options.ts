import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { readResult } from './report/baseline.js';
import type { BenchResult } from './result.js';
import { type Scenario, SERVER_NAMES, type ServerName, type Settings } from './scenario.js';

/** One scenario of a run and how it is to be run. */
export interface Plan {
  readonly scenario: Scenario;
  readonly settings: Settings;
}

/** What the command line asks for. */
export interface Options {
  readonly plans: readonly Plan[];
  /** Folder for the files; `undefined` for one named after the time. */
  readonly out: string | undefined;
  readonly baseline: BenchResult | undefined;
  /** How much worse a ratio may become: 0.3 is a latency 1.3 times as high, or a rate 1.3 times lower. */
  readonly tolerance: number;
}

/** What can be run. */
export interface Offer {
  /** By their names. */
  readonly scenarios: readonly Scenario[];
  /** What runs without `--scenario`. */
  readonly picture: readonly Plan[];
  /** What `--smoke` runs. */
  readonly smoke: readonly Plan[];
}

/** The command line is wrong, or only asked for help; everything has been said. */
export class UsageError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

function whole(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It takes a whole number from ${low} to ${high}.`);
  };
}

function decimal(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It takes a number from ${low} to ${high}.`);
  };
}

function list<T extends string>(names: readonly T[]): (text: string) => readonly T[] {
  return (text) => {
    const found = [...new Set(text.split(',').map((part) => part.trim()))];
    if (found.every((name): name is T => names.includes(name as T))) return found;
    throw new InvalidArgumentError(`It takes one or more, with commas between them, of ${names.join(', ')}.`);
  };
}

function topics(text: string): { symbols: number; perClient: number } {
  const [, symbols = NaN, perClient = NaN] = (/^(\d{1,5})x(\d{1,5})$/.exec(text) ?? []).map(Number);
  if (perClient >= 1 && symbols >= perClient) return { symbols, perClient };
  throw new InvalidArgumentError(
    'It takes symbols x symbols of one client, such as 500x20; a client cannot want more than there are.',
  );
}

function folder(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It takes the path of a folder.');
}

function baseline(file: string): BenchResult {
  try {
    return readResult(file);
  } catch (error) {
    throw new InvalidArgumentError(`It takes the result.json of a former run; ${(error as Error).message}.`);
  }
}

/** Options as they are read; each of them may be missing. */
interface Read extends Settings {
  readonly scenario?: readonly string[];
  readonly smoke?: true;
  readonly out?: string;
  readonly baseline?: BenchResult;
  readonly tolerance: number;
}

function read(flags: string, text: string, parser: (value: string) => unknown): Option {
  return new Option(flags, text).argParser(parser);
}

function command(scenarios: readonly Scenario[]): Command {
  const names = scenarios.map(({ name }) => name);
  const width = Math.max(...names.map((name) => name.length));
  const titles = scenarios.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`).join('\n');
  return new Command('npm run bench --')
    .description(
      'Measures the gateway beside control rows on this machine. Without options: a picture in about two minutes.',
    )
    .addOption(read('--scenario <names>', 'what to measure, with commas between', list(names)))
    .addOption(read('--clients <count>', 'clients connected over WebSocket', whole(1, 1_000_000)))
    .addOption(read('--pods <count>', 'processes of the server under test', whole(1, 64)))
    .addOption(read('--rate <signals/s>', 'signals published a second', whole(1, 100_000)))
    .addOption(read('--seconds <s>', 'timed part of each run, in seconds', whole(1, 3600)))
    .addOption(
      read('--warm-up <signals>', 'signals that a server has passed on before it is measured', whole(0, 1_000_000)),
    )
    .addOption(read('--payload <bytes>', "size of a signal's JSON, in bytes", whole(200, 1_000_000)))
    .addOption(read('--topics <symbols x each>', 'symbols there are and symbols each client wants, as 500x20', topics))
    .addOption(read('--runs <count>', 'runs of each server, in turn (A B A B); fewer than 3 are marked', whole(1, 99)))
    .addOption(read('--workers <count>', 'processes that hold the clients', whole(1, 64)))
    .addOption(
      read(
        '--against <servers>',
        `control rows, of ${SERVER_NAMES.slice(1).join(', ')}`,
        list<ServerName>(SERVER_NAMES),
      ),
    )
    .addOption(
      read(
        '--out <folder>',
        'where result.json, report.html and the .hgrm files go (default: bench/out/<time>)',
        folder,
      ),
    )
    .addOption(read('--samples <folder>', 'also writes every single latency of every client there', folder))
    .addOption(read('--baseline <file>', 'compares ratios with the result.json of a former run', baseline))
    .addOption(
      read(
        '--tolerance <share>',
        'how much worse a ratio may be than in the baseline; 0.3 is 1.3 times',
        decimal(0, 100),
      ).default(0.3),
    )
    .addOption(new Option('--smoke', 'small settings, about a minute').conflicts('scenario'))
    .addHelpText(
      'after',
      `\nScenarios:\n${titles}\n\nExit code: 0 fine; 1 the gateway lost or doubled something, or is past the tolerance; 2 wrong options.`,
    );
}

/**
 * Reads the command line. Settings that are given go before those of the picture and the smoke run; a scenario that is asked
 * for by name has its own defaults instead.
 *
 * @param args - what stands after the command
 * @throws UsageError after it has said what is wrong: the option, the value and what it takes
 */
export function readOptions(args: readonly string[], offer: Offer): Options {
  const program = command(offer.scenarios);
  program.exitOverride();
  let given: Read;
  try {
    given = program.parse(args, { from: 'user' }).opts<Read>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new UsageError(error.message, error.exitCode === 0 ? 0 : 2);
  }
  const { scenario: names, smoke, out, baseline: former, tolerance, ...settings } = given;
  const named = names?.flatMap((name) => offer.scenarios.filter((one) => one.name === name));
  const plans = named?.map((scenario) => ({ scenario, settings: {} })) ?? (smoke ? offer.smoke : offer.picture);
  return {
    plans: plans.map((plan) => ({ ...plan, settings: { ...plan.settings, ...settings } })),
    out,
    baseline: former,
    tolerance,
  };
}
