import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until a condition holds.
 *
 * @param what - what is waited for, for the failure
 * @param condition - returns what it found, or a falsy value to go on waiting; may throw while things are not there yet
 * @param seen - what there is instead, for the failure
 * @throws after `limit` milliseconds, saying what was seen
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { limit = 30_000, seen }: { limit?: number; seen?: () => unknown } = {},
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = Date.now() + limit;
  let last: unknown;
  for (;;) {
    try {
      const found = await condition();
      if (found) return found as Exclude<T, false | null | undefined>;
      last = found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const state = seen === undefined ? String(last) : JSON.stringify(seen());
      throw new Error(`waited ${limit} ms for ${what}; seen: ${state}`);
    }
    await sleep(10);
  }
}
