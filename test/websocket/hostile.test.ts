import { afterEach, test } from 'vitest';
import { expectHonestUnharmed } from '../support/hostile-clients.js';
import { Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HONEST = 50;

// test/long/websocket/hostile.test.ts does the whole of it, with more clients.
test(
  `${HONEST} honest clients miss nothing while hostile ones do their worst, and its traces go`,
  () => expectHonestUnharmed(cleanup, HONEST, 0.2),
  150_000,
);
