import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** An address of this machine that nothing else uses by default. */
export const HOST = '127.0.0.1';

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Servers get ports below those that Linux hands to outgoing connections (32768 and up). */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_767;
/** Files that run at the same time get ports of their own: one that a stopped server comes back to is nobody else's. */
const LANES = 8;
const LANE = Number(process.env['VITEST_POOL_ID'] ?? 0) % LANES;
/** A node of a Redis Cluster also listens this much above its port. */
export const CLUSTER_BUS_OFFSET = 10_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const bound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false)).listen(port, HOST, () => resolve(true));
  });
  if (bound) await new Promise((resolve) => server.close(resolve));
  return bound;
}

/**
 * A free port for a server that is to be stopped and started again on it: while it is away, no outgoing connection of
 * this machine can be given it, and no client that tries to reconnect can end up connected to itself.
 *
 * @param withBus - the port {@link CLUSTER_BUS_OFFSET} above it is to be free and of the same kind too
 */
export async function serverPort(withBus = false): Promise<number> {
  for (;;) {
    const drawn = randomInt(FIRST_PORT, withBus ? LAST_PORT - CLUSTER_BUS_OFFSET : LAST_PORT);
    const port = drawn - (drawn % LANES) + LANE;
    if ((await isFree(port)) && (!withBus || (await isFree(port + CLUSTER_BUS_OFFSET)))) return port;
  }
}

/** How long a process may take to write its coverage down before it is killed. */
const COUNTING_MS = 5000;

/** A child process with its output kept. */
export class Child {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  /** Resolves with the exit code, or the signal's name. */
  readonly exit: Promise<number | string>;
  exited = false;

  /** @param ipc - whether `process.send` works both ways */
  constructor(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    cwd?: string,
    ipc = false,
  ) {
    this.process = spawn(command, [...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.process.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString()));
    this.process.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.exit = new Promise((resolve) => {
      this.process.once('close', (code, signal) => {
        this.exited = true;
        resolve(code ?? signal ?? 'unknown');
      });
    });
  }

  /** Sends a signal and, unless it only pauses or continues the process, waits for its end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | string> {
    if (!this.exited) {
      if (signal === 'SIGKILL' && this.#isCounted) await this.#killCounted();
      else this.process.kill(signal);
    }
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return signal;
    return this.exit;
  }

  /** Whether what the process runs is counted, see `coverage-preload.cjs`. */
  get #isCounted(): boolean {
    return process.env['NODE_V8_COVERAGE'] !== undefined && this.process.spawnargs.includes(process.execPath);
  }

  /** Kills a process whose coverage is counted: it writes that down first, unless it is stopped. */
  async #killCounted(): Promise<void> {
    this.process.kill('SIGALRM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), COUNTING_MS);
    await this.exit;
    clearTimeout(timer);
  }
}

/** Things to stop when a test is over, last started first. */
export class Cleanup {
  readonly #steps: (() => unknown)[] = [];

  /** Adds a step and hands its subject through. */
  add<T>(subject: T, step: (subject: T) => unknown): T {
    this.#steps.push(() => step(subject));
    return subject;
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).toReversed()) await step();
  }
}
