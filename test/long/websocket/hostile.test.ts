import { afterEach, test } from 'vitest';
import { expectHonestUnharmed } from '../../support/hostile-clients.js';
import { Cleanup } from '../../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HONEST = 200;

test(
  `${HONEST} honest clients miss nothing while hostile ones do their worst, and its traces go`,
  () => expectHonestUnharmed(cleanup, HONEST, 1),
  150_000,
);
