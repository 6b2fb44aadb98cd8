import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { messageOf } from '../errors.js';

/** One step of a stop. */
export interface ShutdownStep {
  readonly name: string;
  /** How long it should take. @default 0 */
  readonly takesMs?: number;
  readonly run: () => unknown;
}

/**
 * Each step gets at most this much more than the time that it should take, so that all of them end within the grace period
 * of Kubernetes.
 */
const STOP_STEP_MS = 1000;

/** Runs the steps of a stop in order; every step runs even if one before it failed or did not end. */
export async function runShutdown(steps: readonly ShutdownStep[], log: Logger): Promise<void> {
  for (const { name, takesMs = 0, run } of steps) {
    try {
      await withTimeout(takesMs + STOP_STEP_MS, name, Promise.resolve(run()));
    } catch (error) {
      log.warn({ step: name, reason: messageOf(error) }, 'a step of the shutdown failed; continuing with the next');
    }
  }
}
