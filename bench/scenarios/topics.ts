import { steadyScenario } from '../harness/steady-scenario.js';

/** Clients that want a few of many symbols. */
export const topics = steadyScenario({
  name: 'topics',
  title: 'latency and cost when each client wants a few of many symbols',
  // As many deliveries as `fanout` has with its defaults: 400 clients a signal, 125,000 a second.
  defaults: { clients: 10_000, rate: 312, topics: { symbols: 500, perClient: 20 } },
  fallback: ['raw', 'stock-uws'],
  notes: [
    'Every client has symbols of its own, drawn at random but the same in every run; signals go round the symbols.',
  ],
});
