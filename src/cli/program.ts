import { Command, Option } from 'commander';
import { MAX_PUBLISH_BATCH } from '../contract/publish-request.js';
import { version } from '../version.js';
import type { CheckOptions } from './check.js';
import type { DoctorOptions } from './doctor.js';
import { unlessEmpty, idempotencyKey, positiveNumberOption, urlOption, wholeNumberOption } from './options.js';
import type { PublishOptions } from './publish.js';
import { EXIT_CODES_HELP } from './run.js';
import { addStartCommand } from './start.js';
import type { TailOptions } from './tail.js';

/** The gateway forgets an Idempotency-Key after 5 minutes: a request that is sent again later would count twice. */
const MAX_RETRY_SECONDS = 240;

function addPublish(parent: Command): void {
  parent
    .command('publish')
    .description(
      'Publish one message made from options, or many: one JSON object per line, from a file or from standard input.',
    )
    .argument('[file]', 'JSON lines; "-" is standard input, which is also read if it is not a terminal')
    .option('--symbol <symbol>', 'symbol of the signal, such as BTC/USDT')
    .addOption(new Option('--signal <side>', 'side of the signal').choices(['BUY', 'SELL']))
    .option('--price <number>', 'price of the signal')
    .option('--timeframe <text>', 'timeframe of the signal (default: 1m)')
    .option('--type <text>', 'what produced the signal (default: MANUAL)')
    .option('--timestamp <instant>', 'time of the signal, ISO 8601 in UTC (default: now)')
    .addOption(
      new Option('--status <state>', 'publish a status_update instead').choices(['active', 'degraded', 'offline']),
    )
    .option('--service <name>', 'service of the status')
    .option('--message <text>', 'text of the status (default: empty)')
    .addOption(urlOption('admin port of a gateway', 'ADMIN_URL', 'http://localhost:3001'))
    .addOption(new Option('--api-key <key>', 'key of the publish API; safer in the variable').env('API_KEY'))
    .option('--redis [url]', 'use PUBLISH in Redis instead of HTTP; without an address, REDIS_URL')
    .option('--stream [name]', 'add to a stream in Redis; without a name, to SIGNAL_STREAM and STATUS_STREAM')
    .addOption(
      new Option(
        '--retry-for <seconds>',
        'how long to retry a request while the gateway is unavailable (default: 30; one message: 5)',
      ).argParser(wholeNumberOption(0, MAX_RETRY_SECONDS)),
    )
    .addOption(
      new Option(
        '--batch <n>',
        `most lines in one request (default: ${MAX_PUBLISH_BATCH}); use fewer on a slow line`,
      ).argParser(wholeNumberOption(1, MAX_PUBLISH_BATCH)),
    )
    .addOption(
      new Option(
        '--idempotency-key <key>',
        'a second run with the same key and messages within 5 minutes publishes nothing twice',
      ).argParser(idempotencyKey),
    )
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway publish --symbol BTC/USDT --signal BUY --price 162.5
  signal-gateway publish --status degraded --service SignalMonitorWorker --message "Behind the market."
  signal-gateway publish signals.jsonl
  my-strategy | signal-gateway publish --url http://gateway:3001
  signal-gateway publish --redis redis://localhost:6379 < signals.jsonl
  signal-gateway publish --redis redis://localhost:6379 --stream signals < signals.jsonl

A line with "service" and without "signal" is a status_update; every other line is a
signal. Valid lines are published in order. Each invalid line is reported on standard
error and makes the exit code 1. A retried request publishes nothing twice
(Idempotency-Key). PUBLISH has no such key, so with --redis nothing is retried;
SIGNAL_CHANNEL and STATUS_CHANNEL name the channels. With --stream nothing is retried
either; what was added waits for a gateway, and the id of a single message goes to
standard output. Over HTTP, the offset of a single message
goes to standard output. The command publishes everything even if nobody reads its
output.
${EXIT_CODES_HELP}`,
    )
    .action(async (file: string | undefined, options: PublishOptions) => {
      const { publish } = await import('./publish.js');
      await publish(file, options);
    });
}

function addTail(parent: Command): void {
  parent
    .command('tail')
    .description('Print signals and statuses as they arrive, one per line.')
    .addOption(urlOption('public port of a gateway', 'GATEWAY_URL', 'http://localhost:3000'))
    .option('--topics <list>', 'symbols, or symbols in a timeframe, comma-separated (default: everything)')
    .option('--json', 'one JSON object per line: {"offset", "event", "data"}')
    .addOption(new Option('--token <token>', 'JSON Web Token, if the gateway requires one').env('GATEWAY_TOKEN'))
    .addOption(new Option('--count <n>', 'exit after n lines').argParser(wholeNumberOption(1, Number.MAX_SAFE_INTEGER)))
    .addOption(
      new Option('--connect-for <seconds>', 'how long to try to connect for the first time')
        .argParser(positiveNumberOption(86_400))
        .default(10),
    )
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway tail
  signal-gateway tail --topics BTC/USDT,ETH/USDT@1m
  signal-gateway tail --json --count 100 > signals.jsonl
  signal-gateway tail | head -3

The command reports disconnects, recoveries and gaps on standard error. After a
disconnect it reconnects by itself and prints what it missed. It runs until Ctrl-C
(exit code 130, like tail -f), until it reaches --count, or until nobody reads its
output (0). It only uses colours on terminals; NO_COLOR turns them off.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: TailOptions) => {
      const { tail } = await import('./tail.js');
      await tail({ ...options, token: unlessEmpty(options.token) });
    });
}

function addCheck(parent: Command): void {
  parent
    .command('check')
    .description(
      'Check the configuration in the environment, the uWebSockets.js binary, the ports and Redis, without starting.',
    )
    .option('--json', 'one JSON object on standard output')
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway check
  REDIS_URL=redis://localhost:6379 signal-gateway check --json

Secrets are not shown. If the configuration is invalid, all mistakes are listed.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CheckOptions) => {
      const { check } = await import('./check.js');
      await check(options);
    });
}

function addDoctor(parent: Command): void {
  parent
    .command('doctor')
    .description('Look at Redis as a gateway uses it, say what is wrong there, and repair it if asked.')
    .option('--json', 'one JSON object on standard output')
    .option('--repair', 'do what is suggested; without it nothing is changed')
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  REDIS_URL=redis://localhost:6379 signal-gateway doctor
  REDIS_URL=redis://localhost:6379 signal-gateway doctor --repair

REDIS_URL, REDIS_KEY_PREFIX and JOURNAL_MAXLEN are read from the environment, as those of a
gateway. A repair is safe while gateways run. Keys that hold something else than they
should are renamed, never deleted. The exit code is 1 while something is wrong.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import('./doctor.js');
      await doctor(options);
    });
}

function addBench(parent: Command): void {
  parent
    .command('bench')
    .description('Run the bench of this checkout, with all arguments that follow.')
    .argument('[arguments...]', 'arguments of the bench; "bench -- --help" lists them')
    .allowUnknownOption()
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway bench --smoke
  signal-gateway bench -- --help

The bench is only in the repository, not in an installed package. The command exits
with the exit code of the bench.
${EXIT_CODES_HELP}`,
    )
    .action(async (args: string[]) => {
      const { bench } = await import('./bench.js');
      await bench(args);
    });
}

/** The program of the command `signal-gateway`. What a command needs is loaded when it runs, and not before. */
export function program(): Command {
  const root = new Command('signal-gateway')
    .description('A Socket.IO gateway on uWebSockets.js for trading signals.')
    .version(version())
    .exitOverride()
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for usage)')
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway start --demo
  signal-gateway tail
  signal-gateway publish --symbol BTC/USDT --signal BUY --price 162.5

"signal-gateway <command> --help" describes a command in full.
${EXIT_CODES_HELP}`,
    );
  addStartCommand(root.command('start'), 'signal-gateway start');
  addPublish(root);
  addTail(root);
  addCheck(root);
  addDoctor(root);
  addBench(root);
  return root;
}
