import { ALL_ROWS, steadyScenario } from '../harness/steady-scenario.js';

/** Every signal to every client, at a steady rate. */
export const fanout = steadyScenario({
  name: 'fanout',
  title: 'latency and cost of a steady stream of signals to every client',
  fallback: ALL_ROWS,
});
