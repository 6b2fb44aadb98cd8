import { setTimeout as sleep } from 'node:timers/promises';
import { Cleanup, HOST } from '../../test/support/processes.js';
import { RedisServer } from '../../test/support/redis.js';
import { type MachineTime, machineTime, processMillis } from '../load/cpu.js';
import { type ProgramName, unavailable } from '../load/programs.js';
import { RunningServer, type StartOptions } from '../load/servers.js';
import type { Load, Row, Run } from '../result.js';
import type { Progress, ServerName, Settings } from '../scenario.js';
import { rowOf } from './summary.js';

const LEASE_LIMIT_MS = 10_000;

/** What {@link interleave} is to do. */
export interface Comparison<N extends string> {
  /** The rows, in the order in which each round goes through them. */
  readonly names: readonly N[];
  /** Rounds. */
  readonly runs: number;
  /** Measures one run of one row. A run that throws is marked in its row; the others continue. */
  readonly measure: (name: N, run: number) => Promise<Run>;
  /** Gets one step for each run; the caller has told how many there are in all. */
  readonly progress: Progress;
  /** Put before each step's name, such as `200 signals/s`. */
  readonly point?: string;
}

/** Measures rows in turn, A B A B, so that whatever else the machine does affects all alike, and sums each up. */
export async function interleave<N extends string>(comparison: Comparison<N>): Promise<Row[]> {
  const { names, runs, measure, progress, point = '' } = comparison;
  const measured = new Map<N, { runs: Run[]; failures: string[] }>(
    names.map((name) => [name, { runs: [], failures: [] }]),
  );
  for (let run = 1; run <= runs; run++) {
    for (const [name, row] of measured) {
      progress.step(`${point === '' ? '' : `${point}, `}${name}, run ${run} of ${runs}`);
      try {
        row.runs.push(await measure(name, run));
      } catch (error) {
        row.failures.push(failureOf(run, error));
      }
    }
  }
  return [...measured].map(([name, row]) => rowOf(name, row.runs, row.failures));
}

/** A run that could not be finished, as a sentence for the marks of its row. */
export function failureOf(run: number, error: unknown): string {
  const [reason = ''] = (error as Error).message.split('\n');
  // What a worker process tells of an error starts like this.
  return `Run ${run} failed: ${reason.replace(/^Error: /, '').replace(/[.:]$/, '')}.`;
}

/**
 * Which rows a scenario has: the gateway, then those asked for that the scenario and this machine can do.
 *
 * @param able - control rows that the scenario makes sense for
 * @param fallback - what is compared when the user did not say
 * @returns also why others are left out, one sentence each
 */
export function rowsOf(
  { against }: Settings,
  able: readonly ServerName[],
  fallback: readonly ServerName[],
): { names: ServerName[]; notes: string[] } {
  const names: ServerName[] = ['gateway'];
  const notes: string[] = [];
  for (const name of against ?? fallback) {
    if (names.includes(name)) continue;
    const why = able.includes(name) ? unavailable(name) : `The row "${name}" is left out: it cannot do this scenario.`;
    if (why === undefined) names.push(name);
    else notes.push(why);
  }
  return { names, notes };
}

/** A Redis of its own and the servers that read from it. */
export interface Bed {
  readonly redis: RedisServer;
  readonly redisPid: number;
  readonly servers: readonly RunningServer[];
}

/**
 * Starts a fresh Redis and servers on it, waits until signals flow, and stops everything in the end, whatever happens.
 *
 * @param options.pods - processes of the server that share the Redis
 */
export async function withServers<T>(
  name: ProgramName,
  { pods = 1, ...options }: { pods?: number } & Omit<StartOptions, 'redisUrl'>,
  body: (bed: Bed) => Promise<T>,
): Promise<T> {
  return withRedis(async (redis, cleanup) => {
    const servers: RunningServer[] = [];
    for (let pod = 0; pod < pods; pod++) {
      const server = await RunningServer.start(name, { ...options, redisUrl: redis.url });
      servers.push(cleanup.add(server, (self) => self.stop()));
    }
    if (name === 'gateway') await someoneBridges(servers);
    return body({ redis, redisPid: await redisPid(redis, cleanup), servers });
  });
}

/** Starts a fresh Redis, and stops it and what was added to the clean-up in the end, whatever happens. */
export async function withRedis<T>(body: (redis: RedisServer, cleanup: Cleanup) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  try {
    return await body(await RedisServer.start(cleanup), cleanup);
  } finally {
    await cleanup.run();
  }
}

async function redisPid(redis: RedisServer, cleanup: Cleanup): Promise<number> {
  return Number(/^process_id:(\d+)/m.exec(await redis.client(cleanup).info('server'))?.[1]);
}

/** Waits until one of the pods carries Pub/Sub into the journal: what is published before would be counted as latency. */
export async function someoneBridges(pods: readonly RunningServer[]): Promise<void> {
  const deadline = Date.now() + LEASE_LIMIT_MS;
  while (Date.now() < deadline) {
    for (const { adminPort } of pods) {
      const text = await (await fetch(`http://${HOST}:${adminPort}/metrics`)).text();
      if (/^gateway_bridge_lease(?:\{.*\})? 1$/m.test(text)) return;
    }
    await sleep(20);
  }
  throw new Error(`no pod had taken the bridge's lease after ${LEASE_LIMIT_MS} ms`);
}

/** Processor time used in a part of a run. */
export interface Usage {
  /** Of each server, in the order given, in ms. */
  readonly serverMillis: readonly number[];
  /** Unset where there is no Redis. */
  readonly redisMillis?: number;
  /** Everything on the machine, as a share of its cores. */
  readonly machine: number;
  readonly seconds: number;
}

/** The counters of the kernel at one moment. */
interface Reading {
  readonly servers: readonly number[];
  readonly redis: number | undefined;
  readonly machine: MachineTime;
  /** `performance.now()`. */
  readonly at: number;
}

/** Measures who used how much of the processors, from when it is made. */
export class UsageMeter {
  readonly #servers: readonly RunningServer[];
  readonly #redisPid: number | undefined;
  readonly #begin: Reading;

  /** @param processes - whose processor time to measure; a {@link Bed} will do */
  constructor({ servers, redisPid: pid }: { readonly servers: readonly RunningServer[]; readonly redisPid?: number }) {
    this.#servers = servers;
    this.#redisPid = pid;
    this.#begin = this.#read();
  }

  /** What was used since this was made. A server that has ended throws. */
  end(): Usage {
    const [begin, now] = [this.#begin, this.#read()];
    return {
      serverMillis: now.servers.map((millis, i) => millis - (begin.servers[i] ?? 0)),
      ...(now.redis === undefined ? {} : { redisMillis: now.redis - (begin.redis ?? 0) }),
      machine: (now.machine.busy - begin.machine.busy) / Math.max(1, now.machine.total - begin.machine.total),
      seconds: (now.at - begin.at) / 1000,
    };
  }

  #read(): Reading {
    return {
      servers: this.#servers.map((server) => server.cpuMillis()),
      redis: this.#redisPid === undefined ? undefined : processMillis(this.#redisPid),
      machine: machineTime(),
      at: performance.now(),
    };
  }
}

/**
 * How busy each side of a run was.
 *
 * @param generator - processor time, in ms, of each process that made the load: the fleet's busiest worker, the publisher
 */
export function loadOf({ serverMillis, redisMillis, machine, seconds }: Usage, ...generator: readonly number[]): Load {
  const cores = (millis: number): number => millis / 1000 / seconds;
  return {
    server: cores(Math.max(0, ...serverMillis)),
    generator: cores(Math.max(0, ...generator)),
    ...(redisMillis === undefined ? {} : { redis: cores(redisMillis) }),
    machine,
  };
}
