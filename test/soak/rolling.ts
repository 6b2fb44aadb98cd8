/**
 * A rolling restart and a change of scale behind HAProxy, at the size of issue 7; see `--help`. Prints figures; exits 1
 * when anything was lost, doubled, out of order, told of as a gap, or not recovered.
 */
import { fork } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Fleet } from '../support/fleet.js';
import { HAS_HAPROXY, HaProxy } from '../support/haproxy.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';
import { Callers } from './callers.js';

const OPTIONS = {
  clients: { type: 'string', default: '3000' },
  polling: { type: 'string', default: '0' },
  rate: { type: 'string', default: '50' },
  drain: { type: 'string', default: '20' },
  quiet: { type: 'string', default: '20' },
  processes: { type: 'string', default: '2' },
  help: { type: 'boolean', default: false },
} as const;

const HELP = `npm run soak:rolling -- [options]

  --clients <n>    stock clients (3000)
  --polling <n>    how many of them use long-polling (0)
  --rate <n>       signals a second (50)
  --drain <n>      DRAIN_SECONDS of the pods (20)
  --quiet <n>      seconds of measuring before the restart (20)
  --processes <n>  processes that the clients are spread over (2)
`;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Most of these times in any one second. */
function peak(times: readonly number[]): number {
  let first = 0;
  let most = 0;
  for (const [i, time] of times.entries()) {
    while ((times[first] ?? time) <= time - 1000) first++;
    most = Math.max(most, i - first + 1);
  }
  return most;
}

/** Publishes signals at a rate, stamped with when they are meant to go out, until stopped. */
class Load {
  sent = 0;
  #isRunning = true;
  readonly #done: Promise<void>;

  constructor(publish: (message: string) => Promise<unknown>, rate: number) {
    this.#done = this.#run(publish, rate);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
  }

  async #run(publish: (message: string) => Promise<unknown>, rate: number): Promise<void> {
    const begin = performance.now();
    const pending: Promise<unknown>[] = [];
    while (this.#isRunning) {
      const at = begin + (this.sent * 1000) / rate;
      const wait = at - performance.now();
      if (wait > 1) await sleep(wait);
      pending.push(publish(JSON.stringify(signal(this.sent++, { sentAt: performance.timeOrigin + at }))));
    }
    await Promise.all(pending);
  }
}

async function run(cleanup: Cleanup): Promise<boolean> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    say(HELP);
    return true;
  }
  if (!HAS_HAPROXY) throw new Error('haproxy is not installed: apt-get install haproxy');
  const [clients, polling, rate, drain, quiet, processes] = (
    ['clients', 'polling', 'rate', 'drain', 'quiet', 'processes'] as const
  ).map((name) => Number(values[name])) as [number, number, number, number, number, number];

  const redis = await RedisServer.start(cleanup);
  const proxy = await HaProxy.start(cleanup, 4);
  const fleet = new Fleet(cleanup, proxy, {
    REDIS_URL: redis.url,
    DRAIN_DELAY_SECONDS: '2',
    DRAIN_SECONDS: String(drain),
  });
  await fleet.scaleUp(3);
  await fleet.bridged();
  const path = fileURLToPath(new URL('clients.ts', import.meta.url));
  const callers = new Callers(
    Array.from({ length: processes }, () => {
      const child = fork(path, { execArgv: ['--import', 'tsx'] });
      return cleanup.add(child, (self) => self.kill('SIGKILL'));
    }),
  );
  callers.connect(proxy.url, clients, polling);
  await until('all clients to be connected', async () => (await callers.report()).connected === clients, {
    limit: 120_000,
  });
  say(`${clients} clients (${polling} on long-polling) on 3 pods behind HAProxy, ${rate} signals a second`);
  const producer = redis.client(cleanup);
  const load = new Load((message) => producer.publish('new_signal', message), rate);

  await sleep(3000);
  callers.phase();
  await sleep(quiet * 1000);
  const calm = (await callers.report()).latencies;
  const quietP99 = calm.getValueAtPercentile(99) / 1000;
  say(`quiet: p50 ${calm.getValueAtPercentile(50) / 1000} ms, p99 ${quietP99} ms, ${calm.totalCount} deliveries`);

  /** Stops the oldest pod and tells of the reconnects. */
  const stopOne = async (what: string): Promise<void> => {
    const [pod] = fleet.pods.values();
    const moving = (await pod?.metric('gateway_connections')) ?? 0;
    const begin = performance.timeOrigin + performance.now();
    await fleet.scaleDown(fleet.pods.size - 1);
    await sleep(1500);
    const times = (await callers.report()).reconnects.filter((time) => time >= begin);
    const even = moving / drain;
    const most = peak(times);
    say(`${what}: ${moving} clients, even spread ${even.toFixed(1)}/s, peak ${most}/s = ${(most / even).toFixed(2)} x`);
  };
  const tellOf = async (what: string): Promise<void> => {
    const { latencies, reconnects } = await callers.report();
    const p99 = latencies.getValueAtPercentile(99) / 1000;
    say(
      `${what}: ${reconnects.length} reconnects; those not moving: p99 ${p99} ms = ${(p99 / quietP99).toFixed(2)} x quiet`,
    );
  };

  callers.phase();
  for (const number of [1, 2, 3]) {
    await fleet.scaleUp(4);
    await stopOne(`restart of pod ${number}`);
  }
  await tellOf('rolling restart');

  await stopOne('3 pods to 2');
  callers.phase();
  await fleet.scaleUp(4);
  await stopOne('2 pods to 4, then to 3');
  await stopOne('3 pods to 2');
  await tellOf('scale');

  await load.stop();
  const complete = await until(
    'every client to be complete',
    async () => {
      const report = await callers.report();
      return report.least >= load.sent && report;
    },
    { limit: 60_000 },
  ).catch(() => callers.report());
  const { lost, twice, outOfOrder, gaps, unrecovered, least, most } = complete;
  say(`${load.sent} signals; every client got ${least} to ${most}`);
  say(
    `lost ${lost}, twice ${twice}, out of order ${outOfOrder}, gaps ${gaps}, reconnects not recovered ${unrecovered}`,
  );
  return lost + twice + outOfOrder + gaps + unrecovered === 0 && least === load.sent && most === load.sent;
}

const cleanup = new Cleanup();
try {
  process.exitCode = (await run(cleanup)) ? 0 : 1;
} finally {
  await cleanup.run();
}
