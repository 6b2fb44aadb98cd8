import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../load/fleet.js';
import type { Run } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { UsageMeter, interleave, loadOf, rowsOf, withServers } from './harness.js';
import { ALL_ROWS } from './steady-scenario.js';
import { limitedBy } from './summary.js';

/** Connects before those that are timed, so that the code is compiled. */
const WARM_UP = 500;
/** The clients of the warm-up are gone after this. */
const REST_MS = 500;

async function measure(name: ServerName, clients: number, workers: number, progress: Progress): Promise<Run> {
  return withServers(name, {}, async (bed) => {
    const plan = { ports: bed.servers.map(({ port }) => port), workers, headers: 'browser', signals: 1 } as const;
    await (await Fleet.connect({ ...plan, clients: Math.min(WARM_UP, clients) })).close();
    await sleep(REST_MS);
    const meter = new UsageMeter(bed);
    const fleet = await Fleet.connect({ ...plan, clients }, (connected) => progress.within(connected / clients));
    try {
      // The meter also ran while the worker processes started, in which time no server had anything to do.
      const usage = { ...meter.end(), seconds: fleet.connectSeconds };
      const { expected, received, lost, twice, outOfOrder, dropped, busiestWorkerMillis } = await fleet.report(0);
      const load = loadOf(usage, busiestWorkerMillis);
      return {
        figures: {
          connectsPerSecond: clients / fleet.connectSeconds,
          cpuPerConnect: (usage.serverMillis.reduce((sum, millis) => sum + millis, 0) * 1000) / clients,
          cpuShare: load.server,
        },
        counts: { expected, received, lost, twice, outOfOrder, dropped },
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      await fleet.close();
    }
  });
}

/** How fast clients are let in, from the TCP connect to their `welcome`. */
export const connect: Scenario = {
  name: 'connect',
  title: 'connections per second, each from its TCP connect to its welcome',
  async run(settings, progress) {
    const { clients = 5000, runs = 3, workers = 2 } = settings;
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['raw', 'stock-uws']);
    progress.steps(names.length * runs);
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: (name) => measure(name, clients, workers, progress),
    });
    return {
      name: connect.name,
      title: connect.title,
      settings: { clients, runs, 'worker processes': workers, 'connects under way': 50 * workers },
      tables: [{ point: '', columns: ['connectsPerSecond', 'cpuPerConnect', 'cpuShare'], rows }],
      notes: [
        ...notes,
        'Clients send about 700 bytes of headers, as browsers do, and connect as fast as they are let in: a new one when one has its welcome.',
      ],
    };
  },
};
