import { afterEach, test } from 'vitest';
import { expectCompleteInChaos } from '../../support/chaos.js';
import { Cleanup } from '../../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test(
  'nothing is lost, doubled or out of order for 300 clients while pods are killed for a minute and every link is cut again and again',
  { timeout: 400_000 },
  () => expectCompleteInChaos(cleanup, { clients: 300, kills: 5, killEveryMs: 10_000, cutEveryMs: 10_000 }),
);
