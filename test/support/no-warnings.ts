import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What Node.js warns of in any process of this run, and what tests write to the standard error of their console. */
const FILE = join(tmpdir(), `signal-gateway-test-warnings-${process.pid}.txt`);

/** Keeps what was written to the console by a test; for `onConsoleLog` of Vitest's configuration. */
export function noteConsole(text: string, type: 'stdout' | 'stderr'): void {
  if (type === 'stderr') appendFileSync(FILE, text);
}

/**
 * Vitest global set-up: a run whose processes warn of anything fails, also where a test reads the output of the process and
 * nobody sees it. Child processes get the setting with the environment.
 *
 * @returns the tear-down
 */
export default function setup(): () => void {
  rmSync(FILE, { force: true });
  process.on('warning', ({ stack }) => appendFileSync(FILE, `${stack}\n`));
  const { NODE_OPTIONS = '' } = process.env;
  process.env['NODE_OPTIONS'] = `${NODE_OPTIONS} --trace-warnings --redirect-warnings=${JSON.stringify(FILE)}`;
  return () => {
    if (!existsSync(FILE)) return;
    const warnings = readFileSync(FILE, 'utf8').trim();
    rmSync(FILE);
    // Vitest logs an error of a tear-down, and exits with 0 all the same.
    process.exitCode = 1;
    process.stderr.write(`\nThe run failed: there were warnings. Remove what causes them.\n\n${warnings}\n`);
  };
}
