import { type ChildProcessByStdio, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { headerLines } from './frames.js';

const SOURCE = fileURLToPath(new URL('independent/generator.c', import.meta.url));
const CONNECT_LIMIT_MS = 120_000;
/** Connects under way at a time. */
export const CONCURRENCY = 100;

type Generator = ChildProcessByStdio<Writable, Readable, Readable>;

/** What the clients are told to do, beside where to connect. */
export interface IndependentPlan {
  readonly clients: number;
  /** Signals below it are counted and not timed. @default 0 */
  readonly from?: number;
  /** How many there will be, in all. With 0 the clients only connect. */
  readonly signals: number;
  /** As in the plan of a fleet. @default 'bare' */
  readonly headers?: 'bare' | 'browser';
  /** Time that is wasted for every signal, in ns, to be as slow as other clients. @default 0 */
  readonly idleNanos?: number;
}

/** How the clients of the independent generator connected. */
export interface IndependentConnects {
  /** From the first connect to the last `welcome`. */
  readonly connectMicros: number;
  /** Processor time of the generator for it. */
  readonly cpuMicros: number;
}

/** What the independent generator counted. Latencies in µs. */
export interface IndependentReport {
  readonly received: number;
  readonly timed: number;
  /** Signals that were not the next number: lost, twice or swapped ones show here. */
  readonly outOfOrder: number;
  readonly closed: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
  /** Processor time from when all were connected. */
  readonly cpuMicros: number;
}

/** The program, once all its clients are connected. */
interface RunningGenerator {
  readonly connects: IndependentConnects;
  readonly child: Generator;
  readonly folder: string;
  readonly report: Promise<IndependentReport>;
}

/** Clients that an independent program in C holds: one thread, epoll, no code in common with the bench's own. */
export class IndependentFleet {
  readonly connects: IndependentConnects;
  readonly #child: Generator;
  readonly #folder: string;
  readonly #report: Promise<IndependentReport>;

  private constructor({ connects, child, folder, report }: RunningGenerator) {
    this.connects = connects;
    this.#child = child;
    this.#folder = folder;
    this.#report = report;
  }

  /** Whether there is a C compiler to build it with. */
  static get isAvailable(): boolean {
    return spawnSync('cc', ['--version'], { stdio: 'ignore' }).status === 0;
  }

  /** Compiles it with the machine's C compiler and connects its clients; resolves when all have their `welcome`. */
  static async connect(port: number, plan: IndependentPlan): Promise<IndependentFleet> {
    const { clients, from = 0, signals, headers = 'bare', idleNanos = 0 } = plan;
    const folder = await mkdtemp(join(tmpdir(), 'signal-gateway-generator-'));
    let child: Generator | undefined;
    try {
      const program = join(folder, 'generator');
      await promisify(execFile)('cc', ['-O2', '-o', program, SOURCE]);
      const numbers = [port, clients, CONCURRENCY, from, signals].map(String);
      child = spawn(program, [...numbers, headerLines(headers), String(idleNanos)], {
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      const { connects, report } = listenTo(child);
      return new IndependentFleet({ connects: await connects, child, folder, report });
    } catch (error) {
      await end(child, folder);
      throw error;
    }
  }

  /** What it counted, once it has all signals, or else after a limit. @throws if it broke */
  async report(limitMs: number): Promise<IndependentReport> {
    const limit = setTimeout(() => this.#child.stdin.end(), limitMs);
    try {
      return await this.#report;
    } finally {
      clearTimeout(limit);
    }
  }

  /** Ends it. Can be called twice. */
  async close(): Promise<void> {
    await end(this.#child, this.#folder);
  }
}

/** The two lines that the program prints; both fail if it ends without them. */
function listenTo(child: Generator): { connects: Promise<IndependentConnects>; report: Promise<IndependentReport> } {
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const failure = new Promise<never>((_, reject) => {
    const fail = (reason: string): void => reject(new Error(`The independent generator failed: ${reason}`));
    const late = setTimeout(() => fail(`its clients were not connected in ${CONNECT_LIMIT_MS} ms`), CONNECT_LIMIT_MS);
    child.stdout.once('data', () => clearTimeout(late));
    child.once('error', ({ message }) => fail(message));
    child.once('close', () => {
      clearTimeout(late);
      fail(errors.trim() || 'it ended without a report');
    });
  });
  const lines = createInterface({ input: child.stdout });
  const line = async (key: string): Promise<unknown> => {
    const text = new Promise<string>((resolve) =>
      lines.on('line', (said) => said.startsWith(`{"${key}"`) && resolve(said)),
    );
    return JSON.parse(await Promise.race([text, failure]));
  };
  const connects = line('connectMicros') as Promise<IndependentConnects>;
  const report = line('received') as Promise<IndependentReport>;
  // Whoever asks for them gets their failure; perhaps nobody does.
  report.catch(() => {});
  return { connects, report };
}

async function end(child: Generator | undefined, folder: string): Promise<void> {
  if (child !== undefined && child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
  await rm(folder, { recursive: true, force: true });
}
