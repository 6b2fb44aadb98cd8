import { steadyScenario } from '../harness/steady-scenario.js';

/** Few clients: what a signal costs a pod before the first client gets it is a large part of all. */
export const few = steadyScenario({
  name: 'few',
  title: 'latency and cost where few clients want a signal',
  // Long, since the kernel counts processor time in steps of 10 ms.
  defaults: { clients: 200, rate: 25, seconds: 30 },
  fallback: ['raw'],
  notes: [
    'A signal is checked, appended to the journal in Redis, read back and only then sent; `raw` sends it as it comes.',
  ],
});
