import { type EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for the first of some events and then takes every listener off again, so that waits repeated on one socket do not
 * pile up.
 *
 * @param limitMs - how long it waits at most
 * @throws what the emitter reports as `error` in the meantime, as `once` does
 */
export async function firstEvent(emitter: EventEmitter, names: readonly string[], limitMs?: number): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  try {
    await Promise.race([
      ...names.map((name) => once(emitter, name, { signal })),
      ...(limitMs === undefined ? [] : [sleep(limitMs, undefined, { signal })]),
    ]);
  } finally {
    over.abort();
  }
}
