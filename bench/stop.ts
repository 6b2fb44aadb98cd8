import { readFileSync, readdirSync } from 'node:fs';
import type { Progress } from './scenario.js';

/** The user wants the bench to end. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
  }
}

/** Processes that this one started and that still run; none where there is no /proc. */
function children(): number[] {
  try {
    return readdirSync('/proc/self/task').flatMap((task) =>
      readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

// A server that is asked to stop would drain first.
function killChildren(): void {
  for (const pid of children()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
}

/**
 * Ends a bench on SIGINT and SIGTERM: its servers and clients are killed, so that what is measured right now fails and
 * cleans up after itself, and the next step throws {@link Interrupted}. A second signal ends at once.
 */
export class StopSignal {
  #stopped = false;
  readonly #onSignal = (): void => {
    if (this.#stopped) {
      killChildren();
      process.exit(130);
    }
    this.#stopped = true;
    killChildren();
  };

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, this.#onSignal);
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** The same progress, which does not begin another step once the bench is to end. */
  guard(progress: Progress): Progress {
    return {
      steps: (total) => progress.steps(total),
      step: (what) => {
        if (this.#stopped) throw new Interrupted();
        progress.step(what);
      },
      within: (share, live) => progress.within(share, live),
    };
  }

  /** Signals have their usual effect again. */
  release(): void {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, this.#onSignal);
  }
}
