import { test as base } from 'vitest';
import { Cleanup } from './processes.js';

/** A test with a {@link Cleanup} of its own, so that tests of a file can run at the same time: with `test.concurrent`. */
export const test = base.extend<{ cleanup: Cleanup }>({
  // Vitest reads the names of the fixtures that it needs from this pattern.
  // oxlint-disable-next-line no-empty-pattern
  cleanup: async ({}, use) => {
    const cleanup = new Cleanup();
    await use(cleanup);
    await cleanup.run();
  },
});
