import { type ChildProcess, spawn } from 'node:child_process';
import type { Cleanup } from '../../test/support/processes.js';

/**
 * Hostile clients of the world have machines of their own; here they have to share one. At this niceness the pod and the
 * honest clients get the cores first, so that what is seen is the cost of an attack to the gateway.
 */
const NICENESS = 10;

/** Starts a TypeScript file in a process that gets the processor last, and that messages can be exchanged with. */
export function startNice(path: string, cleanup: Cleanup): ChildProcess {
  const args = ['-n', String(NICENESS), process.execPath, '--import', 'tsx', path];
  const child = spawn('nice', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return cleanup.add(child, (self) => self.kill('SIGKILL'));
}
