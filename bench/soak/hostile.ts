/**
 * Hostile clients against one live pod with honest ones, at the size of issue 6; see `--help`. For each attack, quiet runs
 * and runs under it are taken in turn. Prints a table; exits 1 when an honest client lost, doubled or disordered
 * something or was cut, felt more than twice the quiet latency, or when memory did not return.
 */
import { parseArgs } from 'node:util';
import { Cleanup } from '../../test/support/processes.js';
import { ATTACK_NAMES, type AttackName, CONTROL, attackOf } from './attack-orders.js';
import { Field, type Run } from './field.js';
import { median, millis, numbers, percent, say, table } from './table.js';

const OPTIONS = {
  honest: { type: 'string', default: '200' },
  rate: { type: 'string', default: '20' },
  seconds: { type: 'string', default: '8' },
  runs: { type: 'string', default: '3' },
  only: { type: 'string', default: '' },
  help: { type: 'boolean', default: false },
} as const;

const ALL = 'all of them at the same time';
/** Most that the latency under attack, and the memory after it, may be of what it was without. */
const MAX_LATENCY = 2;
const MAX_MEMORY = 1.1;

function help(): string {
  const attacks = ATTACK_NAMES.map((name) => {
    const { what, rate, atOnce } = attackOf(name);
    return `  ${name}\n      ${what}; ${rate} a second, at most ${atOnce} at a time`;
  });
  return `npm run soak:hostile -- [options]

  --honest <n>   honest clients, each a bare reader of frames (200)
  --rate <n>     signals a second (20)
  --seconds <n>  length of each run (8)
  --runs <n>     quiet runs, and as many under attack, of each row (3)
  --only <text>  rows whose name holds this

Rows, and "${ALL}":
${attacks.join('\n')}

All rows take ${Math.ceil(((ATTACK_NAMES.length + 1) * 6 * 9.5) / 60 + 1)} minutes; with --seconds 4 about two thirds of that.

The hostile clients are one process, at a lower priority (nice -n 10). Where they share the cores with the pod, the latency says
more about the machine than about the gateway: compare a row with the control, which keeps half a core busy and leaves the
pod alone, and look at what the attackers and the machine used.`;
}

const HEAD = [
  'attack',
  'done/s',
  'open files',
  'p50',
  'p99',
  'p99 ratio',
  'max',
  'lost/twice/order/cut',
  'loop max',
  'pod CPU',
  'attackers CPU',
  'machine',
  'RSS MB',
  'heap MB',
];

const P99 = HEAD.indexOf('p99');

/** A row of the table, and whether all in it is as it should be. */
interface Row {
  readonly cells: readonly string[];
  readonly wrong: readonly string[];
}

type Pick = (run: Run) => number;

function middle(runs: readonly Run[], pick: Pick): number {
  return median(runs.map(pick));
}

function most(runs: readonly Run[], pick: Pick): number {
  return Math.max(...runs.map(pick));
}

/** Attacks that are measured together, and for how long. */
interface Trial {
  readonly name: string;
  readonly names: readonly AttackName[];
  readonly runs: number;
  readonly seconds: number;
  readonly rate: number;
}

async function measure(field: Field, { name, names, runs, seconds, rate }: Trial): Promise<Row> {
  const before = await field.memory();
  const quiet: Run[] = [];
  const attacked: Run[] = [];
  for (let i = 0; i < runs; i++) {
    quiet.push(await field.run(seconds, rate, []));
    attacked.push(await field.run(seconds, rate, names));
  }
  const after = await field.memory(before.rss * MAX_MEMORY);
  await field.expectUnharmed();
  const sum = (pick: (run: Run) => number): number => [...quiet, ...attacked].reduce((all, run) => all + pick(run), 0);
  const ratio = middle(attacked, ({ p99 }) => p99) / middle(quiet, ({ p99 }) => p99);
  const bad = [sum(({ lost }) => lost), sum(({ twice }) => twice), sum(({ outOfOrder }) => outOfOrder)];
  const cut = sum(({ dropped }) => dropped);
  const wrong = [
    ...(bad.some((count) => count > 0) || cut > 0 ? ['something was lost, doubled, disordered or cut'] : []),
    ...(ratio > MAX_LATENCY && name !== CONTROL ? [`the latency was ${ratio.toFixed(2)} x the quiet one`] : []),
    ...(after.rss > before.rss * MAX_MEMORY || after.used > before.used * MAX_MEMORY ? ['memory did not return'] : []),
  ];
  const both = (pick: (run: Run) => number, show: (value: number) => string, how = middle): string =>
    `${show(how(quiet, pick))} → ${show(how(attacked, pick))}`;
  const megabytes = (pick: (of: { used: number; rss: number }) => number): string =>
    `${(pick(before) / 1e6).toFixed(1)} → ${(pick(after) / 1e6).toFixed(1)}`;
  const cells = [
    name,
    name === CONTROL ? '' : middle(attacked, (run) => run.attacksPerSecond).toFixed(0),
    both((run) => run.openFiles, String, most),
    both(({ p50 }) => p50, millis),
    both(({ p99 }) => p99, millis),
    ratio.toFixed(2),
    both(({ max }) => max, millis, most),
    [...bad, cut].join('/'),
    both(({ loopMax }) => loopMax, millis, most),
    both(({ podCpu }) => podCpu, percent),
    percent(middle(attacked, ({ attackersCpu }) => attackersCpu)),
    both((run) => run.machineBusy, percent),
    megabytes(({ rss }) => rss),
    megabytes(({ used }) => used),
  ];
  return { cells, wrong };
}

async function main(cleanup: Cleanup): Promise<boolean> {
  const { help: isHelp, only, ...rest } = parseArgs({ options: OPTIONS }).values;
  if (isHelp) {
    say(help());
    return true;
  }
  const { honest, rate, seconds, runs } = numbers(rest);
  const attacks = ATTACK_NAMES.filter((name) => name !== CONTROL);
  const rows = [...ATTACK_NAMES.map((name) => [name, [name]] as const), [ALL, attacks] as const].filter(([name]) =>
    name.includes(only),
  );
  if (rows.length === 0) throw new Error(`no row has "${only}" in its name; see --help`);
  const field = await Field.prepare(cleanup, honest, Math.ceil(seconds * rate) * (rows.length * runs * 2 + 2));
  say(
    `${honest} honest clients on one pod, ${rate} signals a second; ${runs} x ${seconds} s quiet and under attack in turn`,
  );
  // Once before, so that everything that is made only once is there.
  await field.run(Math.min(seconds, 5), rate, attacks);
  const done: Row[] = [];
  for (const [name, names] of rows) {
    const row = await measure(field, { name, names, runs, seconds, rate });
    say([`${name}: p99 ${row.cells[P99] ?? ''} ms`, ...row.wrong.map((why) => `WRONG: ${why}`)].join('; '));
    done.push(row);
  }
  say(
    `\nLatencies in ms, from when a signal was due; medians of ${runs} runs, of max the largest. Sums of what went wrong.\n`,
  );
  say(
    table(
      HEAD,
      done.map(({ cells }) => cells),
    ),
  );
  say('\nThe attackers share the cores of this machine: the control row shows what that alone does.');
  return done.every(({ wrong }) => wrong.length === 0);
}

const cleanup = new Cleanup();
try {
  process.exitCode = (await main(cleanup)) ? 0 : 1;
} finally {
  await cleanup.run();
}
