import { afterEach, test } from 'vitest';
import { Cleanup } from '../../support/processes.js';
import { expectSourceCarried } from '../../support/source-chaos.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test(
  'what three producers add to a stream reaches 60 clients once and in order while pods are killed for 20 s, none runs for 10 s, and Redis restarts',
  { timeout: 400_000 },
  () => expectSourceCarried(cleanup, { kills: 5, killEveryMs: 4000, downMs: 10_000, clients: 60 }),
);
