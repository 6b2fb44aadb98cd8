import { Command, Option } from 'commander';
import { MAX_PUBLISH_BATCH } from '../contract/publish-request.js';
import { version } from '../version.js';
import type { CheckOptions } from './check.js';
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
      'Publish one message given by options, or many: one JSON object a line, from a file or from standard input.',
    )
    .argument('[file]', 'JSON lines; "-" is standard input, which is also read when it is not a terminal')
    .option('--symbol <symbol>', 'of a signal, such as BTC/USDT')
    .addOption(new Option('--signal <side>', 'of a signal').choices(['BUY', 'SELL']))
    .option('--price <number>', 'of a signal')
    .option('--timeframe <text>', 'of a signal (default: 1m)')
    .option('--type <text>', 'what made the signal (default: MANUAL)')
    .option('--timestamp <instant>', 'of a signal, ISO 8601 in UTC (default: now)')
    .addOption(
      new Option('--status <state>', 'publish a status_update instead').choices(['active', 'degraded', 'offline']),
    )
    .option('--service <name>', 'of a status')
    .option('--message <text>', 'of a status (default: empty)')
    .addOption(urlOption('admin port of a gateway', 'ADMIN_URL', 'http://localhost:3001'))
    .addOption(new Option('--api-key <key>', 'key of the publish API; better kept in the variable').env('API_KEY'))
    .option('--redis [url]', 'PUBLISH in Redis instead of HTTP (default of the address: REDIS_URL)')
    .addOption(
      new Option(
        '--retry-for <seconds>',
        'how long a request is sent again while the gateway is away (default: 30; one message: 5)',
      ).argParser(wholeNumberOption(0, MAX_RETRY_SECONDS)),
    )
    .addOption(
      new Option(
        '--batch <n>',
        `most lines in one request (default: ${MAX_PUBLISH_BATCH}); fewer for a slow line`,
      ).argParser(wholeNumberOption(1, MAX_PUBLISH_BATCH)),
    )
    .addOption(
      new Option(
        '--idempotency-key <key>',
        'run again with the same key and messages within 5 minutes, it publishes nothing twice',
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

A line with "service" is a status_update, every other one a signal. Good lines are
published in order; each bad one is named on standard error and makes the exit code 1.
A request that is sent again publishes nothing twice (Idempotency-Key). PUBLISH has
no such thing, so with --redis nothing is sent again; SIGNAL_CHANNEL and STATUS_CHANNEL
name its channels. The offset of a single message goes to standard output. Everything
is published, also when nobody reads what is told.
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
    .description('Show signals and statuses as they come, one a line.')
    .addOption(urlOption('public port of a gateway', 'GATEWAY_URL', 'http://localhost:3000'))
    .option('--topics <list>', 'symbols, or symbols in a timeframe, comma-separated (default: everything)')
    .option('--json', 'one JSON object a line: {"offset", "event", "data"}')
    .addOption(new Option('--token <token>', 'JSON Web Token, where the gateway wants one').env('GATEWAY_TOKEN'))
    .addOption(new Option('--count <n>', 'end after n lines').argParser(wholeNumberOption(1, Number.MAX_SAFE_INTEGER)))
    .addOption(
      new Option('--connect-for <seconds>', 'how long to try for the first connection')
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

Drops, recoveries and gaps are told on standard error. After a drop it connects again
by itself and shows what it missed. It runs until Ctrl-C (exit code 130, as with tail -f),
until --count is reached, or until nobody reads its output (0). Colours are for
terminals; NO_COLOR turns them off.
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
      'Check the configuration in the environment, the binary of uWebSockets.js, the ports and Redis, without starting.',
    )
    .option('--json', 'one JSON object on standard output')
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway check
  REDIS_URL=redis://localhost:6379 signal-gateway check --json

Secrets are not shown. A wrong configuration is told as a whole.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CheckOptions) => {
      const { check } = await import('./check.js');
      await check(options);
    });
}

function addBench(parent: Command): void {
  parent
    .command('bench')
    .description('Run the bench of the checkout; all arguments are passed on to it.')
    .argument('[arguments...]', 'of the bench; "bench -- --help" lists them')
    .allowUnknownOption()
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway bench --smoke
  signal-gateway bench -- --help

The bench is in the repository and not in an installed package. Its own exit code is
passed on.
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
    .showHelpAfterError('(add --help to see what it takes)')
    .addHelpText(
      'after',
      `
Examples:
  signal-gateway start --demo
  signal-gateway tail
  signal-gateway publish --symbol BTC/USDT --signal BUY --price 162.5

"signal-gateway <command> --help" tells more of each command.
${EXIT_CODES_HELP}`,
    );
  addStartCommand(root.command('start'), 'signal-gateway start');
  addPublish(root);
  addTail(root);
  addCheck(root);
  addBench(root);
  return root;
}
