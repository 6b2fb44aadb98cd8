import { afterEach, test } from 'vitest';
import { Cleanup } from '../support/processes.js';
import { expectSlowReadersComplete } from '../support/slow-readers.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

// test/long/cluster/slow-readers.test.ts does the same with 200.
test(
  '40 clients that read at random speeds, some stopped for seconds, keep their connections and get everything in order',
  { timeout: 300_000 },
  () => expectSlowReadersComplete(cleanup, 40),
);
