import { setTimeout as sleep } from 'node:timers/promises';
import type { FleetPlan, FleetReport } from '../load/fleet-types.js';
import { Fleet, type PreparedFleet } from '../load/fleet.js';
import { postSignals } from '../load/post.js';
import type { RunningServer } from '../load/servers.js';
import type { FigureName } from '../result.js';
import type { Progress, Scenario } from '../scenario.js';
import { type QuietAndLoaded, tableAgainstQuiet } from '../harness/against-quiet.js';
import { SETTLE_LIMIT_MS, withFleet } from '../harness/fleet.js';
import { withServers } from '../harness/harness.js';
import { type Meanwhile, runPhase, sumOf } from '../harness/phase.js';
import { type Steady, settingsOf, steadyOf, withoutTopics } from '../harness/steady.js';
import { warmUp } from '../harness/warm-up.js';

/** What each of the many has missed. */
const MISSED = 100;
/** What each of the few has missed: more than a pod keeps in memory. */
const MISSED_LONG = 50_000;
/** How many clients come back for one that missed so much, and for one that stays connected. */
const MANY_PER_FEW = 75;
const MANY_PER_LIVE = 50;
const FEWEST_LIVE = 20;
/** The few come back so long after the phase has begun, and the many as long after the few. */
const LEAD_MS = 1000;
/** Connects under way at the same time in each process: the kernel's queue is 512 long, and what it drops waits a second. */
const CONCURRENCY = 200;
/** Other machines would hold these clients; here they must not take the processor from the pod. */
const NICENESS = 10;
/** What has not come by then counts as lost. */
const MANY_LIMIT_MS = 120_000;
const FEW_LIMIT_MS = 300_000;

const COLUMNS = [
  'backSeconds',
  'p50',
  'p99',
  'max',
  'loopDelayP999',
  'loopDelayMax',
  'cpuShare',
] as const satisfies readonly FigureName[];

/** How many clients of each kind there are. */
interface Crowd {
  readonly many: number;
  readonly few: number;
  readonly live: number;
}

/** What became of those who came back, over all runs. */
interface Fate {
  came: number;
  cut: number;
  seconds: number[];
}

/** What one run has at hand. */
interface Scene {
  readonly server: RunningServer;
  readonly crowd: Crowd;
  /** Processes that are there before anything is measured. */
  readonly prepared: { readonly many: PreparedFleet; readonly few: PreparedFleet };
  readonly fates: { readonly many: Fate; readonly few: Fate };
}

/** Where those who come back were: the offset of the signal before `from`. */
type Place = Required<Pick<FleetPlan, 'from' | 'offset'>>;

/** Lets the few and the many come back, and waits until all of them have everything below `signals`. */
function comeBack(scene: Scene, places: { many: Place; few: Place }, signals: number): Meanwhile {
  const { server, crowd, prepared, fates } = scene;
  const common = { ports: [server.port], signals, reconnect: true, concurrency: CONCURRENCY, niceness: NICENESS };
  return async (publishing) => {
    await sleep(LEAD_MS);
    const few = prepared.few.connect({ ...common, ...places.few, clients: crowd.few });
    await sleep(LEAD_MS);
    const many = prepared.many.connect({ ...common, ...places.many, clients: crowd.many });
    await Promise.all([few, many, publishing]);
    const manyReport = await finish(await many, signals, { limitMs: MANY_LIMIT_MS, fate: fates.many });
    const fewReport = await finish(await few, signals, { limitMs: FEW_LIMIT_MS, fate: fates.few });
    const seconds = fates.many.seconds.at(-1);
    return {
      figures: manyReport.lost > 0 || seconds === undefined ? {} : { backSeconds: seconds },
      counts: sumOf(manyReport, fewReport),
    };
  };
}

async function finish(
  fleet: Fleet,
  signals: number,
  { limitMs, fate }: { readonly limitMs: number; readonly fate: Fate },
): Promise<FleetReport> {
  await fleet.settled(signals, SETTLE_LIMIT_MS, limitMs);
  const report = await fleet.report(signals);
  fate.came += report.clients;
  fate.cut += report.reconnected + report.dropped;
  if (report.lastBackAt !== undefined) fate.seconds.push((report.lastBackAt - fleet.begunAt) / 1e6);
  return report;
}

async function measure(
  { crowd, steady, fates }: Pick<Scene, 'crowd' | 'fates'> & { readonly steady: Steady },
  progress: Progress,
): Promise<QuietAndLoaded> {
  const { rate, seconds, payload, workers } = steady;
  const missedFrom = MISSED_LONG + rate * seconds;
  const loadedFrom = missedFrom + 1 + MISSED;
  const signals = loadedFrom + rate * seconds;
  return withServers('gateway', {}, async (bed) => {
    const [server] = bed.servers;
    if (server === undefined) throw new Error('There is no pod.');
    await warmUp(bed, steady.warmUp);
    const few = { from: 1, offset: await postSignals(server, { from: 0, signals: MISSED_LONG, payload }) };
    const prepared = { many: await Fleet.prepare(workers), few: await Fleet.prepare(1) };
    try {
      const plan = { ports: [server.port], clients: crowd.live, workers: 1, signals, from: MISSED_LONG };
      return await withFleet(plan, progress, async (live) => {
        const scene = { bed, live, steady, progress };
        const quiet = await runPhase(scene, MISSED_LONG);
        const offset = await postSignals(server, { from: missedFrom, signals: 1 + MISSED, payload });
        await live.settled(loadedFrom, SETTLE_LIMIT_MS);
        const places = { few, many: { from: missedFrom + 1, offset } };
        const loaded = await runPhase(scene, loadedFrom, comeBack({ server, crowd, prepared, fates }, places, signals));
        return { quiet, loaded };
      });
    } finally {
      await Promise.all([prepared.many.close(), prepared.few.close()]);
    }
  });
}

function fateNote(who: string, { came, cut, seconds }: Fate): string {
  const times = seconds.map((value) => value.toFixed(2)).join(', ');
  return `${who}: ${came} came back in all runs${times === '' ? '' : ` and had everything after ${times} s`}; ${cut} of them were cut on the way.`;
}

/** Thousands of clients come back to one pod at the same time. */
export const comeback: Scenario = {
  name: 'comeback',
  title: `thousands come back to one pod at once with ${MISSED} signals missed, while others catch up on ${MISSED_LONG.toLocaleString('en-US')}`,
  async run(settings, progress) {
    const { runs = 3 } = settings;
    const steady = steadyOf(withoutTopics(settings), { clients: 15_000, seconds: 15 });
    const { clients: many } = steady;
    const few = Math.ceil(many / MANY_PER_FEW);
    const crowd = { many, few, live: Math.max(FEWEST_LIVE, Math.round(many / MANY_PER_LIVE)) };
    const fates = { many: { came: 0, cut: 0, seconds: [] }, few: { came: 0, cut: 0, seconds: [] } };
    progress.steps(runs);
    const table = await tableAgainstQuiet({
      point: '',
      columns: COLUMNS,
      runs,
      progress,
      measure: () => measure({ crowd, steady, fates }, progress),
    });
    return {
      name: comeback.name,
      title: comeback.title,
      settings: {
        ...settingsOf(steady, runs),
        clients: many,
        'missed by each': MISSED,
        'clients far behind': few,
        'missed by each of these': MISSED_LONG,
        'live clients': crowd.live,
      },
      tables: [table],
      notes: [
        'Latencies are those of the live clients, which stay connected; "quiet" is the phase before, on the same connections. What was received, lost, doubled or disordered counts all clients.',
        `All back: from the first connect of the many until the last of them had everything, up to a signal that was due after it had connected. Each process has up to ${CONCURRENCY} connects under way, and waits for no welcome.`,
        `Clients that come back run at niceness ${NICENESS}, so that the pod and the live clients get the processor first: on machines of their own they would take nothing from them.`,
        fateNote('The many', fates.many),
        fateNote('The few', fates.few),
      ],
    };
  },
};
