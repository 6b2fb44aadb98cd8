import { Command, Option } from 'commander';
import { positiveNumberOption } from './options.js';
import { EXIT_CODES_HELP } from './run.js';
import { goOnWithoutReader } from './terminal.js';

/** Signals a second of the demo feed. */
const DEFAULT_RATE = 3;
const MAX_RATE = 5000;

/** Makes a command start the gateway. */
export function addStartCommand(command: Command, example: string): Command {
  return command
    .description('Start the gateway. Environment variables configure it; see the README.')
    .option('--demo', 'publish made-up signals for a dozen symbols, to try the gateway out')
    .addOption(
      new Option('--demo-rate <per second>', `made-up signals a second (default: ${DEFAULT_RATE}); implies --demo`)
        .argParser(positiveNumberOption(MAX_RATE))
        .implies({ demo: true }),
    )
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  ${example} --demo
  PORT=4000 REDIS_URL=redis://localhost:6379 ${example}

The gateway runs until SIGINT (Ctrl-C) or SIGTERM, and then exits with 0. It keeps
serving even if nobody reads its log.
${EXIT_CODES_HELP}`,
    )
    .action(async ({ demo, demoRate }: { demo?: true; demoRate?: number }) => {
      // A log that nobody reads any more is no reason to disconnect every client.
      goOnWithoutReader();
      const { runGateway } = await import('../app/process.js');
      await runGateway({ demoRate: demo && (demoRate ?? DEFAULT_RATE) });
    });
}

/** The program of `dist/main.js`: the command `start` alone. */
export function startProgram(): Command {
  const command = new Command('node dist/main.js').exitOverride().showHelpAfterError('(add --help for usage)');
  return addStartCommand(command, 'node dist/main.js');
}
