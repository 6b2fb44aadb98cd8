import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST } from '../../test/support/processes.js';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 5000;

/** Where a server listens. */
export interface Ports {
  readonly port: number;
  readonly adminPort: number;
}

/** Ends a process, by force if the signal does not within a limit, and waits until it is gone. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await gone;
  clearTimeout(timer);
}

/** The end of a process that is meant to run on, or of our patience. */
function failure(child: ChildProcess, stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`it was not ready in ${START_LIMIT_MS} ms`)), START_LIMIT_MS);
    stop.addEventListener('abort', () => clearTimeout(timer));
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
  });
}

async function unlessItFails<T>(child: ChildProcess, start: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  try {
    return await Promise.race([start(stop.signal), failure(child, stop.signal)]);
  } finally {
    stop.abort();
  }
}

/** Reads the line in which a control row tells its ports. */
export function serving(child: ChildProcess): Promise<Ports> {
  return unlessItFails(child, () => {
    const { stdout } = child;
    if (stdout === null) return Promise.reject(new Error('it has no output'));
    return new Promise((resolve) => {
      // Goes on reading, so that a server which says more does not come to wait for us.
      createInterface({ input: stdout }).on('line', (line) => {
        if (line.includes('"msg":"serving"')) resolve(JSON.parse(line) as Ports);
      });
    });
  });
}

/** Waits until the gateway says that it is ready. */
export function ready(child: ChildProcess, port: number, adminPort: number): Promise<Ports> {
  child.stdout?.resume();
  return unlessItFails(child, async (stop) => {
    while (!stop.aborted) {
      const answer = await fetch(`http://${HOST}:${adminPort}/readyz`).catch(() => undefined);
      if (answer?.status === 200) break;
      await sleep(20);
    }
    return { port, adminPort };
  });
}
