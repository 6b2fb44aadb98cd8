import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HOST, serverPort } from '../../test/support/processes.js';
import type { ServerName } from '../scenario.js';
import { processMillis, processRss } from './cpu.js';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 5000;
const PROBE_LIMIT_MS = 30_000;
/** What is kept of a server's error output, in characters. */
const ERRORS_KEPT = 4000;

/** Debian's own, where its packages are; not what a version manager puts first on the PATH. */
const PYTHON = '/usr/bin/python3';
const PYTHON_MODULES = 'socketio, fastapi, uvicorn, redis.asyncio, websockets, uvloop, httptools';
const PYTHON_PACKAGES =
  'python3-socketio python3-fastapi python3-uvicorn python3-redis python3-websockets python3-uvloop python3-httptools';

/** A program that can be started: a server of the comparison, or a control of the `ingest` scenario. */
export type ProgramName = ServerName | 'straight' | 'bare-journal';

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

// What the bench does not compare is kept out of the figures alike: no source needs a build but the gateway's own.
const NODE = ['--expose-gc', '--import', path('probe.mjs')];
const TYPESCRIPT = [...NODE, '--import', 'tsx'];

const PROGRAMS: Readonly<Record<ProgramName, { command: string; args: readonly string[] }>> = {
  gateway: { command: process.execPath, args: [...NODE, path('../../dist/main.js')] },
  raw: { command: process.execPath, args: [...TYPESCRIPT, path('../servers/raw.ts')] },
  'stock-uws': { command: process.execPath, args: [...TYPESCRIPT, path('../servers/stock-uws.ts')] },
  'stock-ws': { command: process.execPath, args: [...TYPESCRIPT, path('../servers/stock-ws.ts')] },
  python: { command: PYTHON, args: [path('../servers/python/server.py')] },
  straight: { command: process.execPath, args: [...TYPESCRIPT, path('../servers/straight.ts')] },
  'bare-journal': { command: process.execPath, args: [...TYPESCRIPT, path('../servers/bare-journal.ts')] },
};

/** Why a server can not run on this machine, in a sentence; `undefined` if it can. */
export function unavailable(name: ProgramName): string | undefined {
  if (name !== 'python') return undefined;
  const { status } = spawnSync(PYTHON, ['-c', `import ${PYTHON_MODULES}`], { stdio: 'ignore' });
  if (status === 0) return undefined;
  return `The row "python" is left out: install ${PYTHON_PACKAGES} (Debian) to have it.`;
}

/** How a server is started. */
export interface StartOptions {
  /** Where signals come from. Unset: the gateway has its journal in memory, other rows get signals over HTTP or not at all. */
  readonly redisUrl?: string;
  /** More environment, such as `JOURNAL_MAXLEN`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Options for Node.js (or Python), such as `--max-semi-space-size=64`. */
  readonly args?: readonly string[];
}

/** What a server tells of itself. */
export interface ProbeAnswer {
  /** Bytes of JavaScript heap after a collection; not for Python. */
  readonly heapUsed?: number;
  /** Bytes in RAM. */
  readonly rss: number;
  /** How late the loop was at the 99.9th percentile since the last reset, in ms; not for Python. */
  readonly loopDelayP999?: number;
}

/** A server in a process of its own, on free ports of 127.0.0.1. */
export class RunningServer {
  readonly name: ProgramName;
  /** Where clients connect. */
  readonly port: number;
  /** Health, metrics and publish API where the server has them; else 0. */
  readonly adminPort: number;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(name: ProgramName, child: ChildProcess, ports: { port: number; adminPort: number }) {
    this.name = name;
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.port = ports.port;
    this.adminPort = ports.adminPort;
  }

  /**
   * Starts it and waits until it serves, and reads from Redis if it has one.
   *
   * @throws with the end of its error output if it does not come up
   */
  static async start(name: ProgramName, { redisUrl, env = {}, args = [] }: StartOptions = {}): Promise<RunningServer> {
    const { command, args: own } = PROGRAMS[name];
    // Every row is silent: the gateway's log line per connection would be compared with nothing elsewhere. It does not
    // tell its ports then, so it gets them told.
    const more =
      name === 'gateway'
        ? { LOG_LEVEL: 'error', PORT: String(await serverPort()), ADMIN_PORT: String(await serverPort()) }
        : { PORT: '0', ADMIN_PORT: '0' };
    const all = {
      PATH: process.env['PATH'],
      HOST,
      ADMIN_HOST: HOST,
      NODE_ENV: 'production',
      ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
      ...more,
      ...env,
    };
    const child = spawn(command, [...args, ...own], {
      env: all,
      stdio: ['ignore', 'pipe', 'pipe', ...(name === 'python' ? [] : (['ipc'] as const))],
    });
    let errors = '';
    child.stderr?.on('data', (data: Buffer) => (errors = (errors + data.toString()).slice(-ERRORS_KEPT)));
    try {
      const ports =
        name === 'gateway' ? await ready(child, Number(all.PORT), Number(all.ADMIN_PORT)) : await serving(child);
      return new RunningServer(name, child, ports);
    } catch (error) {
      await end(child, 'SIGKILL');
      throw new Error(`${name} did not start: ${(error as Error).message}\n${errors}`, { cause: error });
    }
  }

  /** `POST` one signal here; not every server has it. */
  get publishUrl(): string {
    return `http://${HOST}:${this.adminPort}/v1/signals`;
  }

  /** Processor time used so far, in milliseconds. */
  cpuMillis(): number {
    return processMillis(this.pid);
  }

  /** From here on the delay of the loop is measured anew. */
  async resetProbe(): Promise<void> {
    if (this.name !== 'python') await this.#ask('reset');
  }

  /** Asks the server for its memory, after a collection, and for the delay of its loop. */
  async probe(): Promise<ProbeAnswer> {
    if (this.name === 'python') return { rss: processRss(this.pid) };
    return this.#ask('probe');
  }

  /** Stops it as an orchestrator does: SIGTERM, then SIGKILL. May be called twice. */
  async stop(): Promise<void> {
    await end(this.#child, 'SIGTERM');
  }

  /** Ends it at once (SIGKILL). May be called twice. */
  async kill(): Promise<void> {
    await end(this.#child, 'SIGKILL');
  }

  #ask(what: 'probe' | 'reset'): Promise<ProbeAnswer> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const done = (error: Error | undefined, answer?: ProbeAnswer): void => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
        if (answer === undefined) reject(error ?? new Error('no answer'));
        else resolve(answer);
      };
      const onMessage = (message: ProbeAnswer & { kind?: string }): void => {
        if (message.kind === what) done(undefined, message);
      };
      const onExit = (): void => done(new Error(`${this.name} has ended`));
      const timer = setTimeout(
        () => done(new Error(`${this.name} did not answer "${what}" in ${PROBE_LIMIT_MS} ms`)),
        PROBE_LIMIT_MS,
      );
      child.on('message', onMessage);
      child.once('exit', onExit);
      child.send(what);
    });
  }
}

/** Ends a process, by force if the signal does not within a limit, and waits until it is gone. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await gone;
  clearTimeout(timer);
}

/** The end of a process that is meant to run on, or of our patience. */
function failure(child: ChildProcess, stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`it was not ready in ${START_LIMIT_MS} ms`)), START_LIMIT_MS);
    stop.addEventListener('abort', () => clearTimeout(timer));
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
  });
}

async function unlessItFails<T>(child: ChildProcess, start: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  try {
    return await Promise.race([start(stop.signal), failure(child, stop.signal)]);
  } finally {
    stop.abort();
  }
}

/** Reads the line in which a control row tells its ports. */
function serving(child: ChildProcess): Promise<{ port: number; adminPort: number }> {
  return unlessItFails(child, () => {
    const { stdout } = child;
    if (stdout === null) return Promise.reject(new Error('it has no output'));
    return new Promise((resolve) => {
      // Goes on reading, so that a server which says more does not come to wait for us.
      createInterface({ input: stdout }).on('line', (line) => {
        if (line.includes('"msg":"serving"')) resolve(JSON.parse(line) as { port: number; adminPort: number });
      });
    });
  });
}

/** Waits until the gateway says that it is ready. */
function ready(child: ChildProcess, port: number, adminPort: number): Promise<{ port: number; adminPort: number }> {
  child.stdout?.resume();
  return unlessItFails(child, async (stop) => {
    while (!stop.aborted) {
      const answer = await fetch(`http://${HOST}:${adminPort}/readyz`).catch(() => undefined);
      if (answer?.status === 200) break;
      await sleep(20);
    }
    return { port, adminPort };
  });
}
