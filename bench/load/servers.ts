import { type ChildProcess, spawn } from 'node:child_process';
import { HOST, serverPort } from '../../test/support/processes.js';
import { type Ports, end, ready, serving } from './child-server.js';
import { processMillis, processRss } from './cpu.js';
import { PROGRAMS, type ProgramName } from './programs.js';

const PROBE_LIMIT_MS = 30_000;
/** What is kept of a server's error output, in characters. */
const ERRORS_KEPT = 4000;
/** How often a server is started that does not get its port. */
const START_TRIES = 3;

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
  /** How late it was at most. */
  readonly loopDelayMax?: number;
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

  private constructor(name: ProgramName, child: ChildProcess, ports: Ports) {
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
  static async start(name: ProgramName, options: StartOptions = {}): Promise<RunningServer> {
    for (let tries = 1; ; tries++) {
      try {
        return await RunningServer.#start(name, options);
      } catch (error) {
        // A port that was free a moment ago may be taken by now.
        if (tries === START_TRIES || !/\bPORT\b|_PORT\b/.test((error as Error).message)) throw error;
      }
    }
  }

  static async #start(name: ProgramName, { redisUrl, env = {}, args = [] }: StartOptions): Promise<RunningServer> {
    const { command, args: own } = PROGRAMS[name];
    // Every row is silent: the gateway's log line per connection would be compared with nothing elsewhere. It does not
    // tell its ports then, so it gets them told.
    const more =
      name === 'gateway'
        ? {
            LOG_LEVEL: 'error',
            PORT: String(await serverPort()),
            ADMIN_PORT: String(await serverPort()),
            // Nobody is left when a run ends it.
            DRAIN_DELAY_SECONDS: '0',
            DRAIN_SECONDS: '0',
          }
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

  /** Restarts the measurement of the delay of the loop. */
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
      child.send(what, (error) => {
        if (error !== null) done(error);
      });
    });
  }
}
