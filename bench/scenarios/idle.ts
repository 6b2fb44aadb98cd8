import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../load/fleet.js';
import type { Run } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { UsageMeter, interleave, loadOf, rowsOf, withServers } from '../harness/harness.js';
import { ALL_ROWS } from '../harness/steady-scenario.js';
import { limitedBy } from '../harness/summary.js';
import { WARM_UP_SIGNALS, warmUp } from '../harness/warm-up.js';

/** Engine.IO's default, which every row has. */
const PING_INTERVAL_SECONDS = 25;
/** Clients that come and go before, so that the code is compiled. */
const WARM_UP = 500;
const REST_MS = 1000;
const LOOKS = 20;

async function measure(
  name: ServerName,
  { clients, rounds, workers, signals }: Plan,
  progress: Progress,
): Promise<Run> {
  return withServers(name, {}, async (bed) => {
    const plan = { ports: bed.servers.map(({ port }) => port), workers, headers: 'browser', signals: 1 } as const;
    await warmUp(bed, signals);
    await (await Fleet.connect({ ...plan, clients: Math.min(WARM_UP, clients) })).close();
    const fleet = await Fleet.connect({ ...plan, clients });
    try {
      await sleep(REST_MS);
      const meter = new UsageMeter(bed);
      // Whole intervals: in each, every client is pinged once, whenever it came.
      for (let look = 1; look <= LOOKS; look++) {
        await Promise.race([fleet.failure, sleep((rounds * PING_INTERVAL_SECONDS * 1000) / LOOKS)]);
        progress.within(look / LOOKS);
      }
      const usage = meter.end();
      const { expected, received, lost, twice, outOfOrder, dropped, busiestWorkerMillis } = await fleet.report(0);
      const load = loadOf(usage, busiestWorkerMillis);
      const millis = usage.serverMillis.reduce((sum, one) => sum + one, 0);
      return {
        figures: { cpuPerHeartbeat: (millis * 1000) / (clients * rounds), cpuShare: load.server },
        counts: { expected, received, lost, twice, outOfOrder, dropped },
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      await fleet.close();
    }
  });
}

interface Plan {
  readonly clients: number;
  /** Heartbeats of each client. */
  readonly rounds: number;
  readonly workers: number;
  /** Passed on before: a server that has just been started is busy with itself for longer than this lasts. */
  readonly signals: number;
}

/** What clients cost to which nothing is sent. */
export const idle: Scenario = {
  name: 'idle',
  title: 'cost of clients that only get heartbeats',
  async run(settings, progress) {
    const { clients = 15_000, runs = 3, workers = 2, seconds = PING_INTERVAL_SECONDS } = settings;
    const signals = settings.warmUp ?? WARM_UP_SIGNALS;
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['raw', 'stock-uws']);
    const plan = { clients, workers, signals, rounds: Math.max(1, Math.round(seconds / PING_INTERVAL_SECONDS)) };
    progress.steps(names.length * runs);
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: (name) => measure(name, plan, progress),
    });
    return {
      name: idle.name,
      title: idle.title,
      settings: {
        clients,
        runs,
        seconds: plan.rounds * PING_INTERVAL_SECONDS,
        'worker processes': workers,
        'warm-up signals': signals,
      },
      tables: [{ point: '', columns: ['cpuPerHeartbeat', 'cpuShare'], rows }],
      notes: [
        ...notes,
        `Every row pings each client once in ${PING_INTERVAL_SECONDS} s and reads its answer; "raw" pings all in one turn of its loop, the others spread them. Whatever else a server does while nothing comes (reading the journal, keeping the lease) is in its figure.`,
      ],
    };
  },
};
