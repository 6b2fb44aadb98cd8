import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { machineTime, processMillis } from '../load/cpu.js';
import { Fleet } from '../load/fleet.js';
import { publishOpenLoop } from '../load/publisher.js';
import { MEASURED, memory } from '../../test/support/memory.js';
import { Pod } from '../../test/support/pod.js';
import type { Cleanup } from '../../test/support/processes.js';
import { RedisServer } from '../../test/support/redis.js';
import { until } from '../../test/support/until.js';
import { type AttackName, attackOf } from './attack-orders.js';
import { AttackProcess } from './attack-process.js';

/** Engine.IO waits 30 s for the poll of a session that it is closing. */
const GONE_LIMIT_MS = 60_000;
const FREED_LIMIT_MS = 15_000;

/** How long an attack runs before it is measured, in ms: until everything that it holds open is open. */
function leadOf(names: readonly AttackName[]): number {
  return (
    1000 + Math.max(0, ...names.map(attackOf).map(({ atOnce, rate }) => (atOnce > 1000 ? atOnce / rate : 0))) * 1000
  );
}

/** What one run showed; latencies in µs, processor times as shares of a core. */
export interface Run {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly lost: number;
  readonly twice: number;
  readonly outOfOrder: number;
  readonly dropped: number;
  readonly podCpu: number;
  readonly attackersCpu: number;
  readonly machineBusy: number;
  /** Longest that the pod's loop stood still, in µs. */
  readonly loopMax: number;
  /** Files that the pod had open at the end, connections among them. */
  readonly openFiles: number;
  /** How often a second the attacks were carried out, together. */
  readonly attacksPerSecond: number;
}

/** What a field is made of. */
interface FieldParts {
  readonly pod: Pod;
  readonly redis: RedisServer;
  readonly fleet: Fleet;
  readonly attackers: AttackProcess;
  /** The number of honest clients. */
  readonly honest: number;
}

/** One pod, its honest clients, and the hostile ones. */
export class Field {
  readonly #pod: Pod;
  readonly #redis: RedisServer;
  readonly #fleet: Fleet;
  readonly #attackers: AttackProcess;
  readonly #honest: number;
  #published = 0;

  private constructor({ pod, redis, fleet, attackers, honest }: FieldParts) {
    this.#pod = pod;
    this.#redis = redis;
    this.#fleet = fleet;
    this.#attackers = attackers;
    this.#honest = honest;
  }

  /** @param signals - that will be published at most */
  static async prepare(cleanup: Cleanup, honest: number, signals: number): Promise<Field> {
    const redis = await RedisServer.start(cleanup);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url }, { nodeArgs: MEASURED });
    await until('the pod to bridge', async () => (await pod.metric('gateway_bridge_lease')) === 1);
    const fleet = await Fleet.connect({ ports: [pod.port], clients: honest, workers: 1, signals });
    cleanup.add(fleet, (self) => self.close());
    return new Field({ pod, redis, fleet, attackers: await AttackProcess.start(cleanup), honest });
  }

  /** Publishes for a while, under attack or not, and looks at what the honest clients got. */
  async run(seconds: number, rate: number, names: readonly AttackName[]): Promise<Run> {
    if (names.length > 0) this.#attackers.begin(this.#pod.port, names);
    await sleep(leadOf(names));
    const from = this.#published;
    await this.#fleet.begin(from);
    await this.#loopDelay();
    const podPid = this.#pod.child.process.pid ?? 0;
    const cpu = [processMillis(podPid), processMillis(this.#attackers.pid)] as const;
    const machine = machineTime();
    const signals = Math.ceil(seconds * rate);
    const begin = performance.now();
    await Promise.race([
      this.#fleet.failure,
      publishOpenLoop({ redisUrl: this.#redis.url, from, signals, rate, payload: 0 }),
    ]);
    const elapsed = performance.now() - begin;
    const openFiles = readdirSync(`/proc/${podPid}/fd`).length;
    const podCpu = (processMillis(podPid) - cpu[0]) / elapsed;
    const attackersCpu = (processMillis(this.#attackers.pid) - cpu[1]) / elapsed;
    const now = machineTime();
    const loopMax = await this.#loopDelay();
    this.#published += signals;
    await this.#fleet.settled(this.#published, 10_000);
    const { lost, twice, outOfOrder, dropped, latency } = await this.#fleet.report(this.#published);
    const stopped = names.length > 0 ? await this.#attackers.stop() : { done: [0], seconds: 1 };
    const histogram = decodeFromCompressedBase64(latency);
    return {
      p50: histogram.getValueAtPercentile(50),
      p99: histogram.getValueAtPercentile(99),
      max: histogram.maxValue,
      lost,
      twice,
      outOfOrder,
      dropped,
      podCpu,
      attackersCpu,
      machineBusy: (now.busy - machine.busy) / (now.total - machine.total),
      loopMax,
      openFiles,
      attacksPerSecond: stopped.done.reduce((sum, count) => sum + count, 0) / stopped.seconds,
    };
  }

  /**
   * What the pod needs once the hostile clients are gone and its garbage is collected.
   *
   * @param awaited - bytes that the kernel should not count more for it; freed pages go back late, so that is waited for
   */
  async memory(awaited = Infinity): Promise<{ used: number; rss: number }> {
    await until('the hostile clients to be gone', async () => (await this.#sessions()) <= this.#honest, {
      seen: () => this.#pod.child.stderr.slice(-1000),
      limit: GONE_LIMIT_MS,
    });
    const deadline = performance.now() + FREED_LIMIT_MS;
    for (;;) {
      const found = await memory(this.#pod);
      if (found.rss <= awaited || performance.now() > deadline) return found;
      await sleep(1000);
    }
  }

  /** @throws if the pod ended, or met an error that no part of it handled */
  async expectUnharmed(): Promise<void> {
    if (this.#pod.child.exited) throw new Error(`the pod has ended: ${this.#pod.child.stderr.slice(-2000)}`);
    const faults = await this.#pod.metric('gateway_unhandled_faults_total');
    if (faults > 0) throw new Error(`the pod met errors that nobody handled: ${JSON.stringify(this.#pod.faults())}`);
  }

  #sessions(): Promise<number> {
    return this.#pod.metric('gateway_sessions');
  }

  /** Longest that the loop stood still since this was asked for the last time. */
  async #loopDelay(): Promise<number> {
    return (await this.#pod.metric('gateway_event_loop_delay_seconds', { quantile: '1' })) * 1e6;
  }
}
