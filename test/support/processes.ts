import { type ChildProcess, spawn } from 'node:child_process';
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

/** A child process with its output kept. */
export class Child {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  /** Resolves with the exit code, or the signal's name. */
  readonly exit: Promise<number | string>;
  exited = false;

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd?: string) {
    this.process = spawn(command, [...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
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
    if (!this.exited) this.process.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return signal;
    return this.exit;
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
