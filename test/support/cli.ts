import { fileURLToPath } from 'node:url';
import { Child, type Cleanup } from './processes.js';

/** The built command `signal-gateway`. */
export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Runs a command of `signal-gateway`, without anything on its standard input. */
export function cli(
  cleanup: Cleanup,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  nodeArgs: readonly string[] = [],
): Child {
  const child = new Child(process.execPath, [...nodeArgs, CLI, ...args], env);
  return cleanup.add(child, (self) => self.kill());
}

/** Runs a line of bash in which `signal-gateway` is the command; a pipe fails when any part of it does. */
export function shell(cleanup: Cleanup, line: string, env: Readonly<Record<string, string>> = {}): Child {
  const script = `set -o pipefail; signal-gateway() { "$NODE" "$CLI" "$@"; }; ${line}`;
  const child = new Child('bash', ['-c', script], { NODE: process.execPath, CLI, ...env });
  return cleanup.add(child, (self) => self.kill());
}
