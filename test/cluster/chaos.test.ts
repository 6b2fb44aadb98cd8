import { afterEach, test } from 'vitest';
import { expectCompleteInChaos } from '../support/chaos.js';
import { Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

// test/long/cluster/chaos.test.ts does the same for a minute, with more clients.
test(
  'nothing is lost, doubled or out of order for 60 clients while pods are killed and every link is cut again and again',
  { timeout: 200_000 },
  () => expectCompleteInChaos(cleanup, { clients: 60, kills: 2, killEveryMs: 4000, cutEveryMs: 4000 }),
);
