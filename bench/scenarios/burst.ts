import { steadyScenario } from '../harness/steady-scenario.js';

/** As many signals as `fanout` has, but all of a second at one instant. */
export const burst = steadyScenario({
  name: 'burst',
  title: 'latency of bursts: all signals of a second are published at the same instant',
  defaults: { burst: true },
  fallback: ['raw', 'stock-uws'],
});
