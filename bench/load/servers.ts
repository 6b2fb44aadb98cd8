import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What is measured: the gateway, and the control rows. */
export const SERVERS = {
  raw: ['--import', 'tsx', fileURLToPath(new URL('../servers/raw.ts', import.meta.url))],
  straight: ['--import', 'tsx', fileURLToPath(new URL('../servers/straight.ts', import.meta.url))],
  gateway: [fileURLToPath(new URL('../../dist/main.js', import.meta.url))],
} as const;

/** The name of a server in {@link SERVERS}. */
export type ServerName = keyof typeof SERVERS;

/** A server in a process of its own, on free ports. */
export class RunningServer {
  readonly port: number;
  readonly adminPort: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: { port: number; adminPort: number }) {
    this.#child = child;
    this.port = ports.port;
    this.adminPort = ports.adminPort;
  }

  /** Starts it and waits until it serves. */
  static async start(name: ServerName, more: Readonly<Record<string, string>> = {}): Promise<RunningServer> {
    const host = '127.0.0.1';
    const child = spawn(process.execPath, [...SERVERS[name]], {
      env: {
        PATH: process.env['PATH'],
        HOST: host,
        ADMIN_HOST: host,
        PORT: '0',
        ADMIN_PORT: '0',
        NODE_ENV: 'production',
        ...more,
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const lines = createInterface({ input: child.stdout });
    const ports = await new Promise<{ port: number; adminPort: number }>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
      lines.on('line', (line) => {
        if (line.includes('"msg":"serving"')) resolve(JSON.parse(line) as { port: number; adminPort: number });
      });
    });
    return new RunningServer(child, ports);
  }

  get publishUrl(): string {
    return `http://127.0.0.1:${this.adminPort}/v1/signals`;
  }

  /** Processor time used so far, in milliseconds; `undefined` where there is no /proc. */
  cpuMillis(): number | undefined {
    try {
      // The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it (proc(5)), in ticks of 10 ms.
      const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) * 10;
    } catch {
      return undefined;
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
