import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { messageOf } from '../errors.js';

/** One step of a stop; `takes` is how long it is meant to take, in ms. */
export interface ShutdownStep {
  readonly name: string;
  readonly takes?: number;
  readonly run: () => unknown;
}

/**
 * Each step gets at most this long, beside the time that it is meant to take, so that all of them together end within
 * Kubernetes's patience.
 */
const STOP_STEP_MS = 1000;

/** Takes the steps of a stop in order; every one is run even if one before it failed or did not end. */
export async function runShutdown(steps: readonly ShutdownStep[], log: Logger): Promise<void> {
  for (const { name, takes = 0, run } of steps) {
    try {
      await withTimeout(takes + STOP_STEP_MS, name, Promise.resolve(run()));
    } catch (error) {
      log.warn({ step: name, reason: messageOf(error) }, 'a step of the stop failed; going on');
    }
  }
}
