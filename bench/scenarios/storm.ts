import { setTimeout as sleep } from 'node:timers/promises';
import { nowMicros } from '../load/message.js';
import type { Run } from '../result.js';
import type { Progress, Scenario, ServerName } from '../scenario.js';
import { publishTo, withFleet } from '../harness/fleet.js';
import { UsageMeter, interleave, rowsOf, withServers } from '../harness/harness.js';
import { ALL_ROWS } from '../harness/steady-scenario.js';
import { latencyFigures } from '../harness/summary.js';
import {
  type Steady,
  WARM_UP_SECONDS,
  runOf,
  samplesOf,
  settingsOf,
  steadyOf,
  withoutTopics,
} from '../harness/steady.js';
import { warmUp } from '../harness/warm-up.js';

/** The pod is killed this far into the timed part. */
const KILL_AFTER_SECONDS = 2;
/** Everybody has had time enough to come back and to catch up. */
const BACK_LIMIT_MS = 30_000;

/** A run that is measured. */
interface Plan {
  readonly steady: Steady;
  /** Called with how many clients reconnected, and how many of these the server called recovered. */
  readonly onReturn: (reconnected: number, recovered: number) => void;
}

async function measure(name: ServerName, { steady, onReturn }: Plan, progress: Progress): Promise<Run> {
  const { rate, seconds, payload, clients, workers, samples } = steady;
  const signals = rate * (WARM_UP_SECONDS + seconds);
  return withServers(name, { pods: steady.pods }, async (bed) => {
    await warmUp(bed, steady.warmUp);
    const [victim, ...others] = bed.servers;
    if (victim === undefined || others.length === 0) throw new Error('This scenario needs two pods at least');
    const plan = {
      // Half of the clients are on the pod that is killed.
      ports: others.flatMap(({ port }) => [victim.port, port]),
      portsAfter: others.map(({ port }) => port),
      clients,
      workers,
      signals,
      reconnect: true,
      ...(samples !== undefined && { samples }),
    };
    return withFleet(plan, progress, async (fleet) => {
      await fleet.begin(rate * WARM_UP_SECONDS);
      const meter = new UsageMeter({ servers: others, redisPid: bed.redisPid });
      let killedAt = 0;
      const kill = async (): Promise<void> => {
        await sleep((WARM_UP_SECONDS + KILL_AFTER_SECONDS) * 1000);
        killedAt = nowMicros();
        await victim.kill();
      };
      const publishing = publishTo(fleet, {
        redisUrl: bed.redis.url,
        from: 0,
        signals,
        rate,
        payload,
        onProgress: (share) => progress.within(share),
      });
      const [published] = await Promise.all([publishing, kill()]);
      await fleet.settled(signals, BACK_LIMIT_MS);
      const usage = meter.end();
      const report = await fleet.report(signals);
      const { lastBackAt, reconnected, recovered } = report;
      onReturn(reconnected, recovered);
      // Who lost something is never back.
      const back = lastBackAt === undefined || report.lost > 0 ? {} : { backSeconds: (lastBackAt - killedAt) / 1e6 };
      // What a delivery cost is not known: the counters of the pod that was killed went with it.
      const figures = { ...back, ...latencyFigures(report.latency) };
      return { ...runOf(report, usage, published), figures, latency: report.latency };
    });
  });
}

/** A pod is killed under its clients. */
export const storm: Scenario = {
  name: 'storm',
  title: 'a pod of several is killed (SIGKILL): time until every client is back and has everything it missed',
  async run(settings, progress) {
    const { runs = 3 } = settings;
    const steady = steadyOf(withoutTopics(settings), { clients: 2000, pods: 3 });
    const { names, notes } = rowsOf(settings, ALL_ROWS, ['stock-uws']);
    progress.steps(names.length * runs);
    const returned = new Map<string, { reconnected: number; recovered: number }>();
    const rows = await interleave({
      names,
      runs,
      progress,
      measure: (name, run) =>
        measure(
          name,
          {
            steady: { ...steady, ...samplesOf(settings, `${storm.name}-${name}`, run) },
            onReturn: (reconnected, recovered) => {
              const before = returned.get(name) ?? { reconnected: 0, recovered: 0 };
              returned.set(name, {
                reconnected: before.reconnected + reconnected,
                recovered: before.recovered + recovered,
              });
            },
          },
          progress,
        ),
    });
    return {
      name: storm.name,
      title: storm.title,
      settings: settingsOf(steady, runs),
      tables: [{ point: '', columns: ['backSeconds', 'p50', 'p99', 'max'], rows }],
      notes: [
        ...notes,
        `The pod that is killed has half of the clients. It is killed ${KILL_AFTER_SECONDS} s into the timed part; for the gateway it is the one that carries Pub/Sub into the journal. Its clients wait as the stock client does (0.5 to 1.5 s, then longer) and connect to the other pods. A client is back when it has everything up to a signal that was due after it had reconnected.`,
        'Latency is that of all clients, what they missed included: from when a signal was due until they had it.',
        ...[...returned].map(
          ([name, { reconnected, recovered }]) =>
            `${name}: ${reconnected} clients reconnected in all runs, and the server took up the session of ${recovered}.`,
        ),
        'Without recovery (every row but the gateway) what was sent while a client was away is lost, so these have no time.',
      ],
    };
  },
};
