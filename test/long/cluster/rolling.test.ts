import { rollingTests } from '../../support/rolling.js';

rollingTests({ clients: 300, drainSeconds: 4 });
