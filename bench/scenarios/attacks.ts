import { Cleanup } from '../../test/support/processes.js';
import { TcpForwarder } from '../../test/support/tcp-forwarder.js';
import { type Attack, BULK, type HostileReport } from '../load/hostile-types.js';
import { HostileProcess } from '../load/hostile-process.js';
import { postSignals } from '../load/post.js';
import { RunningServer } from '../load/servers.js';
import type { Counts, FigureName } from '../result.js';
import type { Progress, Scenario } from '../scenario.js';
import { type QuietAndLoaded, tableAgainstQuiet } from '../harness/against-quiet.js';
import { timeAppends } from '../harness/append-times.js';
import { withFleet } from '../harness/fleet.js';
import { type Bed, withServers } from '../harness/harness.js';
import { runPhase } from '../harness/phase.js';
import { type Steady, settingsOf, steadyOf, withoutTopics } from '../harness/steady.js';
import { warmUp } from '../harness/warm-up.js';

/** Entries of the journal that a client with an old offset makes a pod look at. */
const JOURNAL_ENTRIES = 60_000;
/** How far the pod that lags is behind, and the size of what it lacks. */
const BEHIND_ENTRIES = 10_000;
const BEHIND_BYTES = 1200;
/** Default of MAX_SIGNAL_BYTES: a thousand of them are the largest legal request. */
const LARGEST_BYTES = 16_000;
const READERS = 20;

const COLUMNS = [
  'p50',
  'p99',
  'max',
  'appendP50',
  'appendP99',
  'loopDelayMax',
  'cpuShare',
] as const satisfies readonly FigureName[];

/** One attack, as a table of its own. */
interface Trial {
  readonly point: string;
  /** Puts into the journal what the attack needs. */
  readonly prepare: (server: RunningServer, payload: number) => Attack | Promise<Attack>;
  /** Whether the pod is kept from reading the journal until {@link BEHIND_ENTRIES} wait for it there. */
  readonly isBehind?: true;
}

const TRIALS: readonly Trial[] = [
  {
    point: `200 clients recover from ${JOURNAL_ENTRIES.toLocaleString('en-US')} entries back, for a topic that nothing matches, every 2 s`,
    prepare: async (server, payload) => {
      const offset = await postSignals(server, { from: 0, signals: JOURNAL_ENTRIES, payload, symbol: BULK });
      return { kind: 'recover', clients: 200, offset };
    },
  },
  {
    point: '10 clients replace 1,000 topics as often as MAX_BYTES_PER_SECOND lets them',
    prepare: () => ({ kind: 'subscribe', clients: 10 }),
  },
  {
    point: `the largest legal request (1,000 signals of 16 KB) every second, with ${READERS} readers`,
    prepare: ({ publishUrl }) => ({ kind: 'batch', clients: READERS, publishUrl, signalBytes: LARGEST_BYTES }),
  },
  {
    point: `the pod is ${BEHIND_ENTRIES.toLocaleString('en-US')} entries behind, with ${READERS} readers`,
    prepare: () => ({ kind: 'read', clients: READERS }),
    isBehind: true,
  },
];

/** Where an attack takes place. */
interface Ground {
  readonly bed: Bed;
  /** The pod that is attacked; it serves the honest clients. */
  readonly pod: RunningServer;
  /** Where it is appended. */
  readonly appendTo: RunningServer;
  /** Between the pod and Redis, where the pod is to lag. */
  readonly gate?: TcpForwarder;
}

/** Starts what a trial needs; a pod that is to lag has another beside it, which is not and which bridges. */
async function withGround<T>(isBehind: boolean, body: (ground: Ground, cleanup: Cleanup) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  return withServers('gateway', {}, async (bed) => {
    const [first] = bed.servers;
    if (first === undefined) throw new Error('There is no pod.');
    try {
      if (!isBehind) return await body({ bed, pod: first, appendTo: first }, cleanup);
      const gate = await TcpForwarder.open(cleanup, bed.redis.port);
      const pod = cleanup.add(await RunningServer.start('gateway', { redisUrl: gate.url }), (self) => self.stop());
      return await body({ bed: { ...bed, servers: [pod] }, pod, appendTo: first, gate }, cleanup);
    } finally {
      await cleanup.run();
    }
  });
}

function countsOf({ received, lost, twice, outOfOrder, cut }: HostileReport): Counts {
  return { expected: received + lost, received, lost, twice, outOfOrder, dropped: cut };
}

/** What the hostile clients did, over all runs. */
type Done = (report: HostileReport) => void;

async function measure(
  { trial, steady, onDone }: { readonly trial: Trial; readonly steady: Steady; readonly onDone: Done },
  progress: Progress,
): Promise<QuietAndLoaded> {
  const { clients, rate, seconds, payload } = steady;
  const each = rate * seconds;
  return withGround(trial.isBehind === true, async ({ bed, pod, appendTo, gate }, cleanup) => {
    await warmUp(bed, steady.warmUp);
    const attack = await trial.prepare(pod, payload);
    const hostile = await HostileProcess.start(cleanup);
    // With a topic, so that they get nothing of what the attack publishes.
    const topics = { symbols: 1, perClient: 1 };
    const plan = { ports: [pod.port], clients, workers: 1, signals: 2 * each, topics };
    return withFleet(plan, progress, async (live) => {
      const scene = { bed, live, steady, progress };
      const quiet = await runPhase(scene, 0, async (publishing) => ({
        figures: await timeAppends(appendTo, publishing),
      }));
      const bulk = gate === undefined ? 0 : BEHIND_ENTRIES;
      if (gate !== undefined) {
        await hostile.begin(pod.port, attack);
        gate.hold();
        await postSignals(appendTo, { from: 0, signals: bulk, payload: BEHIND_BYTES, symbol: BULK });
      }
      const loaded = await runPhase(scene, each, async (publishing) => {
        if (gate === undefined) await hostile.begin(pod.port, attack);
        else gate.release();
        const figures = await timeAppends(appendTo, publishing);
        const report = await hostile.stop(bulk);
        onDone(report);
        return { figures, counts: countsOf(report) };
      });
      return { quiet, loaded };
    });
  });
}

function doneNote(point: string, reports: readonly HostileReport[]): string {
  const sum = (pick: (report: HostileReport) => number): number => reports.reduce((all, one) => all + pick(one), 0);
  const perSecond =
    sum(({ done }) => done) /
    Math.max(
      1,
      sum(({ seconds }) => seconds),
    );
  const received = sum((report) => report.received).toLocaleString('en-US');
  const parts = [
    ...(perSecond > 0 ? [`it was carried out ${perSecond.toFixed(1)} times a second`] : []),
    ...(received === '0' ? [] : [`its readers got ${received} signals and were cut ${sum(({ cut }) => cut)} times`]),
  ];
  return `${point}: ${parts.join('; ')}.`;
}

/** What honest clients and producers feel of clients that stay within their limits, and of work that is legal. */
export const attacks: Scenario = {
  name: 'attacks',
  title: 'what honest clients and producers feel of attacks that stay within all limits',
  async run(settings, progress) {
    const { runs = 3 } = settings;
    const steady = steadyOf(withoutTopics(settings), { clients: 200, seconds: 8 });
    progress.steps(runs * TRIALS.length);
    const tables = [];
    const notes: string[] = [];
    for (const trial of TRIALS) {
      const reports: HostileReport[] = [];
      const { point } = trial;
      const onDone: Done = (report) => void reports.push(report);
      tables.push(
        await tableAgainstQuiet({
          point,
          columns: COLUMNS,
          runs,
          progress,
          measure: () => measure({ trial, steady, onDone }, progress),
        }),
      );
      notes.push(doneNote(point, reports));
    }
    return {
      name: attacks.name,
      title: attacks.title,
      settings: settingsOf(steady, runs),
      tables,
      notes: [
        'Latencies are those of the honest clients, which get none of the attacker\'s signals; "quiet" is the phase before, on the same connections. Appends are single signals over HTTP, ten a second. What was received, lost, doubled, disordered or dropped counts honest clients and readers.',
        'Where much is published, or a pod is behind, signals wait for what stands before them in the journal: what counts there is that nobody is cut, that nothing is lost, and how long the loop stands still.',
        'Attackers and readers are one process at niceness 10 on the same machine.',
        ...notes,
      ],
    };
  },
};
