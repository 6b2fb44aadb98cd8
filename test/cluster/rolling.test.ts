import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, test } from 'vitest';
import { HAS_HAPROXY } from '../support/haproxy.js';
import { Cleanup } from '../support/processes.js';
import { expectCompleteWhileRolling } from '../support/rolling.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PLAN = { clients: 60, drainSeconds: 2 };

// test/long/cluster/rolling.test.ts does the same with more clients, which get more time to go.
describe.skipIf(!HAS_HAPROXY)(`behind HAProxy, for ${PLAN.clients} clients,`, () => {
  test('a rolling restart of 3 pods loses, doubles and disorders nothing', { timeout: 240_000 }, () =>
    expectCompleteWhileRolling(cleanup, { ...PLAN, pods: 3, change: (fleet) => fleet.roll() }),
  );

  test('2 pods becoming 4 and 2 again lose, double and disorder nothing', { timeout: 240_000 }, () =>
    expectCompleteWhileRolling(cleanup, {
      ...PLAN,
      pods: 2,
      change: async (fleet) => {
        await fleet.scaleUp(4);
        await sleep(1000);
        await fleet.scaleDown(2);
      },
    }),
  );
});
