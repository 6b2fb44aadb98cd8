import { type Command, CommanderError } from 'commander';
import { EXIT, StartError, messageOf } from '../errors.js';
import { endWithReader } from './terminal.js';

/** What every `--help` says about exit codes. */
export const EXIT_CODES_HELP = `
Exit codes:
  0  success
  1  failure: the message says what went wrong and what to do
  2  the command line or the configuration is invalid; nothing was done`;

/**
 * Runs a program on a command line. Errors go to standard error, one message each without a stack trace, and set the exit code.
 * It ends silently when nobody reads its output any more, unless the command says otherwise.
 *
 * @param argv - as in `process.argv`
 */
export async function run(program: Command, argv: readonly string[]): Promise<void> {
  endWithReader();
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed everything. Help that was asked for is a success; help instead of a command is not.
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.config;
      return;
    }
    process.stderr.write(`${messageOf(error)}\n`);
    // At once: a gateway that cannot start may already have a port open.
    process.exit(error instanceof StartError ? error.exitCode : EXIT.failed);
  }
}
