import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { mergeReports } from './fleet-report.js';
import type { FleetPlan, FleetReport, FromWorker, ToWorker } from './fleet-types.js';
import { nowMicros } from './message.js';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
const REPORT_LIMIT_MS = 60_000;

/** The processes of a fleet whose clients have not connected yet. */
export interface PreparedFleet {
  /** As {@link Fleet.connect}, over all of the processes. */
  connect(plan: Omit<FleetPlan, 'workers'>, onProgress?: (connected: number) => void): Promise<Fleet>;
  /** Ends the processes, and with them all clients. Can be called twice. */
  close(): Promise<void>;
}

/** Thousands of clients in worker processes. */
export class Fleet {
  /** From the first connect to the last `welcome`. */
  readonly connectSeconds: number;
  /** When the first client began to connect, in µs of the monotonic clock. */
  readonly begunAt: number;
  readonly #workers: readonly WorkerProcess[];
  /** Signals that are known to have been published: what comes after a `begin` is counted from here. */
  #published: number;

  private constructor(workers: readonly WorkerProcess[], begunAt: number, published: number) {
    this.#workers = workers;
    this.#published = published;
    this.begunAt = begunAt;
    this.connectSeconds = (nowMicros() - begunAt) / 1e6;
  }

  /** Starts the processes of a fleet, so that nothing of that falls into the time in which it connects. */
  static async prepare(workerCount: number): Promise<PreparedFleet> {
    const workers = Array.from({ length: workerCount }, () => new WorkerProcess());
    const close = async (): Promise<void> => {
      await Promise.all(workers.map((worker) => worker.stop()));
    };
    try {
      await all(workers, (worker) => worker.started);
    } catch (error) {
      await close();
      throw error;
    }
    return { connect: (plan, onProgress) => Fleet.#connect(workers, plan, onProgress), close };
  }

  /**
   * Connects a fleet; resolves when every client has its `welcome`.
   *
   * @param onProgress - called with how many clients are connected
   * @throws Error with the reason if one is refused; no process is left then
   */
  static async connect(plan: FleetPlan, onProgress: (connected: number) => void = () => {}): Promise<Fleet> {
    const prepared = await Fleet.prepare(plan.workers);
    try {
      return await prepared.connect(plan, onProgress);
    } catch (error) {
      await prepared.close();
      throw error;
    }
  }

  static async #connect(
    workers: readonly WorkerProcess[],
    plan: Omit<FleetPlan, 'workers'>,
    onProgress: (connected: number) => void = () => {},
  ): Promise<Fleet> {
    const begunAt = nowMicros();
    const connected = workers.map(() => 0);
    await all(workers, async (worker, index) => {
      worker.send({ kind: 'connect', plan: { ...plan, workers: workers.length }, worker: index });
      await worker.hears('connected', (message) => {
        connected[index] = message.clients;
        onProgress(connected.reduce((sum, count) => sum + count, 0));
        return message.all;
      });
    });
    return new Fleet(workers, begunAt, plan.from ?? 0);
  }

  /**
   * Rejects when a worker ends or a server sends what no server may; never resolves. A measurement races against it, so
   * that it ends at once.
   */
  get failure(): Promise<never> {
    return Promise.race(this.#workers.map(({ failure }) => failure));
  }

  /** Process ids of the workers. */
  get pids(): readonly number[] {
    return this.#workers.map(({ pid }) => pid);
  }

  /**
   * Counts from here on, as if nothing had been before. Signals below `from` are warm-up: counted, not timed. Call it when
   * nothing is under way, before the first signal or after {@link settled}, and publish only when it has resolved.
   */
  async begin(from: number): Promise<void> {
    await all(this.#workers, async (worker) => {
      worker.send({ kind: 'begin', base: this.#published, from });
      await worker.hears('begun', () => true);
    });
  }

  /**
   * Waits until everybody has what they want of the signals below `published`; clients that were dropped or read slowly
   * are not waited for. What is not there after `limitMs` shows as lost in the report.
   *
   * @param mostMs - waits up to this long instead, as long as more comes at least every `limitMs`
   * @returns whether more was still coming when the waiting ended
   */
  async settled(published: number, limitMs: number, mostMs = limitMs): Promise<boolean> {
    this.#published = Math.max(this.#published, published);
    const stop = new AbortController();
    const end = performance.now() + mostMs;
    let quietAt = performance.now() + limitMs;
    const limit = async (): Promise<boolean> => {
      for (;;) {
        const rest = Math.min(quietAt, end) - performance.now();
        if (rest <= 0) return mostMs > limitMs && end <= quietAt;
        await sleep(rest, undefined, { signal: stop.signal }).catch(() => {});
        if (stop.signal.aborted) return false;
      }
    };
    const arriving = (): boolean => {
      quietAt = performance.now() + limitMs;
      return false;
    };
    const settled = all(this.#workers, async (worker) => {
      worker.hears('arriving', arriving, stop.signal).catch(() => {});
      worker.send({ kind: 'await', published });
      await worker.hears('settled', (message) => message.published === published, stop.signal);
    });
    try {
      return await Promise.race([limit(), settled.then(() => false)]);
    } finally {
      settled.catch(() => {});
      stop.abort();
    }
  }

  /** Slow clients read as fast as they can from now on, so that what never reaches them can be told from what is late. */
  hasten(): void {
    for (const worker of this.#workers) worker.send({ kind: 'hasten' });
  }

  /** What all clients counted since the last {@link begin}, of the signals below `published`. */
  async report(published: number): Promise<FleetReport> {
    this.#published = Math.max(this.#published, published);
    const late = AbortSignal.timeout(REPORT_LIMIT_MS);
    const messages = await all(this.#workers, (worker) => {
      worker.send({ kind: 'report', published });
      return worker.hears('report', () => true, late);
    });
    return mergeReports(messages.map(({ report }) => report));
  }

  /** Ends all clients. Can be called twice. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }
}

/** Does something with every worker at the same time; fails as soon as one of them does. */
function all<T>(
  workers: readonly WorkerProcess[],
  step: (worker: WorkerProcess, index: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(workers.map((worker, index) => Promise.race([step(worker, index), worker.failure])));
}

/** One process of clients, seen from the bench. */
class WorkerProcess {
  readonly started: Promise<unknown>;
  readonly failure: Promise<never>;
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;

  constructor() {
    // 'advanced' keeps typed arrays as they are.
    this.#child = fork(WORKER, { execArgv: ['--import', 'tsx'], serialization: 'advanced' });
    // Loading its code takes a process longer than connecting a thousand clients.
    this.started = this.hears('ready', () => true);
    this.#exit = once(this.#child, 'exit');
    this.failure = new Promise<never>((_, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) =>
        reject(new Error(`A process of clients ended with ${code ?? signal}.`)),
      );
      this.#child.on('message', (message: FromWorker) => {
        if (message.kind === 'broken') reject(new Error(message.reason));
      });
    });
    // It is raced against where it matters; an end that was asked for is no failure of anything.
    this.failure.catch(() => {});
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(message: ToWorker): void {
    this.#child.send(message, () => {});
  }

  /**
   * Waits for a message of a kind.
   *
   * @param accept - sees every message of the kind until it returns true
   * @param signal - gives up; rejects
   */
  hears<K extends FromWorker['kind']>(
    kind: K,
    accept: (message: Extract<FromWorker, { kind: K }>) => boolean,
    signal?: AbortSignal,
  ): Promise<Extract<FromWorker, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: FromWorker): void => {
        if (message.kind !== kind || !accept(message as Extract<FromWorker, { kind: K }>)) return;
        this.#child.off('message', onMessage);
        resolve(message as Extract<FromWorker, { kind: K }>);
      };
      this.#child.on('message', onMessage);
      signal?.addEventListener('abort', () => {
        this.#child.off('message', onMessage);
        reject(new Error(`A process of clients did not tell in time: ${kind}.`));
      });
    });
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }
}
