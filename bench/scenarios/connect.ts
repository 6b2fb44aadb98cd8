import { setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from '../load/fleet.js';
import { CONCURRENCY, IndependentFleet } from '../load/independent.js';
import type { Counts, Run } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { UsageMeter, interleave, loadOf, rowsOf, withServers } from '../harness/harness.js';
import { ALL_ROWS } from '../harness/steady-scenario.js';
import { limitedBy } from '../harness/summary.js';

/** Connects before those that are timed, so that the code is compiled. */
const WARM_UP = 10_000;
/** The clients of the warm-up are gone after this. */
const REST_MS = 500;
/** Connects under way at a time in each worker process. */
const WORKER_CONCURRENCY = 50;

/** Clients that are connected, and what it took. */
interface Connected {
  readonly seconds: number;
  /** Processor time of the busiest process that holds them, in ms. */
  readonly busyMillis: number;
  /** What they counted, where they count. */
  readonly counts: Counts;
  close(): Promise<void>;
}

type Connect = (
  ports: readonly number[],
  clients: number,
  onProgress?: (connected: number) => void,
) => Promise<Connected>;

/** With the program in C, which takes a fraction of the processor time, so that it is the server that is measured. */
const withProgramInC: Connect = async ([port = 0], clients) => {
  const fleet = await IndependentFleet.connect(port, { clients, signals: 0, headers: 'browser' });
  const { connectMicros, cpuMicros } = fleet.connects;
  return {
    seconds: connectMicros / 1e6,
    busyMillis: cpuMicros / 1000,
    // It gives up when one of them is refused or cut.
    counts: { expected: 0, received: 0, lost: 0, twice: 0, outOfOrder: 0, dropped: 0 },
    close: () => fleet.close(),
  };
};

/** With the worker processes of the other scenarios, where there is no C compiler. */
const withWorkers =
  (workers: number): Connect =>
  async (ports, clients, onProgress) => {
    const plan = { ports, workers, concurrency: WORKER_CONCURRENCY, headers: 'browser', signals: 1, clients } as const;
    const fleet = await Fleet.connect(plan, onProgress);
    const { expected, received, lost, twice, outOfOrder, dropped, busiestWorkerMillis } = await fleet.report(0);
    return {
      seconds: fleet.connectSeconds,
      busyMillis: busiestWorkerMillis,
      counts: { expected, received, lost, twice, outOfOrder, dropped },
      close: () => fleet.close(),
    };
  };

/** What is connected, and how. */
interface Plan {
  readonly clients: number;
  readonly connectAll: Connect;
}

async function measure(name: ServerName, { clients, connectAll }: Plan, progress: Progress): Promise<Run> {
  return withServers(name, {}, async (bed) => {
    const ports = bed.servers.map(({ port }) => port);
    await (await connectAll(ports, Math.min(WARM_UP, clients))).close();
    await sleep(REST_MS);
    const meter = new UsageMeter(bed);
    const connected = await connectAll(ports, clients, (count) => progress.within(count / clients));
    try {
      // The meter also ran while the processes of the clients started, in which time no server had anything to do.
      const usage = { ...meter.end(), seconds: connected.seconds };
      const load = loadOf(usage, connected.busyMillis);
      return {
        figures: {
          connectsPerSecond: clients / connected.seconds,
          cpuPerConnect: (usage.serverMillis.reduce((sum, millis) => sum + millis, 0) * 1000) / clients,
          cpuShare: load.server,
        },
        counts: connected.counts,
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      await connected.close();
    }
  });
}

/** How fast clients are let in, from the TCP connect to their `welcome`. */
export const connect: Scenario = {
  name: 'connect',
  title: 'connections per second, each from its TCP connect to its welcome',
  async run(settings, progress) {
    const { clients = 10_000, runs = 3, workers } = settings;
    // Who asks for worker processes gets them.
    const inC = workers === undefined && IndependentFleet.isAvailable;
    const connectAll = inC ? withProgramInC : withWorkers(workers ?? 2);
    const by = inC ? 'a program in C' : `${workers ?? 2} worker processes`;
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['raw', 'stock-uws']);
    progress.steps(names.length * runs);
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: (name) => measure(name, { clients, connectAll }, progress),
    });
    return {
      name: connect.name,
      title: connect.title,
      settings: {
        clients,
        runs,
        'clients are': by,
        'connects under way': inC ? CONCURRENCY : WORKER_CONCURRENCY * (workers ?? 2),
      },
      tables: [{ point: '', columns: ['connectsPerSecond', 'cpuPerConnect', 'cpuShare'], rows }],
      notes: [
        ...notes,
        'Clients send about 700 bytes of headers, as browsers do, and connect as fast as they are let in: a new one when one has its welcome.',
      ],
    };
  },
};
