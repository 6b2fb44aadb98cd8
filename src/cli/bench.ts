import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EXIT, StartError } from '../errors.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
const KILLED_BY_SIGNAL = 128;

/** The loader of TypeScript, which only a checkout has. */
function loader(): string {
  try {
    return pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  } catch {
    throw new StartError(
      `The bench needs the tools of development. Run "npm ci" in ${ROOT} and try again.`,
      EXIT.config,
    );
  }
}

/**
 * The command `bench`: runs the bench of the checkout, and passes its exit code on.
 *
 * @throws StartError if this is not a checkout
 */
export async function bench(args: readonly string[]): Promise<void> {
  if (!existsSync(PROGRAM)) {
    throw new StartError(
      'The bench is not in an installed package. Clone the repository, run "npm ci && npm run build" in it, and then ' +
        '"npm run bench".',
      EXIT.config,
    );
  }
  const child = spawn(process.execPath, ['--import', loader(), PROGRAM, ...args], { stdio: 'inherit', cwd: ROOT });
  // Ctrl-C reaches both: the bench writes what it has, and this process waits for it. SIGTERM is passed on.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  process.exitCode = code ?? KILLED_BY_SIGNAL + constants.signals[signal ?? 'SIGTERM'];
}
