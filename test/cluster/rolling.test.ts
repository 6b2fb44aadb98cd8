import { rollingTests } from '../support/rolling.js';

// test/long/cluster/rolling.test.ts has more clients, which get more time to go.
rollingTests({ clients: 60, drainSeconds: 2 });
