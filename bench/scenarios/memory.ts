import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../load/fleet.js';
import type { Run } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { interleave, rowsOf, withServers } from '../harness/harness.js';
import { ALL_ROWS } from '../harness/steady-scenario.js';

/** Clients that come and go before, so that what is allocated once does not count. */
const WARM_UP = 500;
/** Time for a server to forget clients that left, or to come to rest after the last one connected. */
const REST_MS = 1000;

/** How many clients, and how many processes hold them. */
interface Plan {
  readonly clients: number;
  readonly workers: number;
}

async function measure(name: ServerName, { clients, workers }: Plan, progress: Progress): Promise<Run> {
  return withServers(name, {}, async ({ servers: [server] }) => {
    if (server === undefined) throw new Error('there is no server');
    const plan = { ports: [server.port], workers, headers: 'browser', signals: 1 } as const;
    await (await Fleet.connect({ ...plan, clients: Math.min(WARM_UP, clients) })).close();
    await sleep(REST_MS);
    const before = await server.probe();
    const fleet = await Fleet.connect({ ...plan, clients }, (connected) => progress.within(connected / clients));
    try {
      await sleep(REST_MS);
      const after = await server.probe();
      const { expected, received, lost, twice, outOfOrder, dropped } = await fleet.report(0);
      const perClient = (bytes: number): number => bytes / 1000 / clients;
      return {
        figures: {
          // Python does not tell its heap.
          ...(after.heapUsed === undefined || before.heapUsed === undefined
            ? {}
            : { heapPerConnection: perClient(after.heapUsed - before.heapUsed) }),
          rssPerConnection: perClient(after.rss - before.rss),
        },
        counts: { expected, received, lost, twice, outOfOrder, dropped },
      };
    } finally {
      await fleet.close();
    }
  });
}

/** What an idle client costs in memory. */
export const memory: Scenario = {
  name: 'memory',
  title: 'memory of an idle connection, after a garbage collection',
  async run(settings, progress) {
    const { clients = 10_000, runs = 3, workers = 2 } = settings;
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['raw', 'stock-uws']);
    progress.steps(names.length * runs);
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: (name) => measure(name, { clients, workers }, progress),
    });
    return {
      name: memory.name,
      title: memory.title,
      settings: { clients, runs, 'worker processes': workers },
      tables: [{ point: '', columns: ['heapPerConnection', 'rssPerConnection'], rows }],
      notes: [
        ...notes,
        `Both figures are what ${clients} clients add to a server that has seen ${WARM_UP} come and go, in KB of 1,000 bytes. Clients send about 700 bytes of headers, as browsers do. What the kernel keeps for a TCP connection is not in them.`,
      ],
    };
  },
};
