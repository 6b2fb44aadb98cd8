import { afterEach, test } from 'vitest';
import { Cleanup } from '../../support/processes.js';
import { expectSlowReadersComplete } from '../../support/slow-readers.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test(
  '200 clients that read at random speeds, some stopped for seconds, keep their connections and get everything in order',
  { timeout: 300_000 },
  () => expectSlowReadersComplete(cleanup, 200),
);
