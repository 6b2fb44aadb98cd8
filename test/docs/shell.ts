import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import type { Cleanup } from '../support/processes.js';
import { until } from '../support/until.js';
import { ROOT } from './markdown.js';

/** What is made by commands, or belongs to whoever works here: a fresh checkout has none of it. */
const NOT_CHECKED_OUT = new Set(['node_modules', 'dist', '.git', 'coverage']);

/** Copies the repository as somebody has it after a checkout and `npm ci`: with the packages, and with nothing built. */
export function checkOut(cleanup: Cleanup): string {
  const folder = cleanup.add(mkdtempSync(join(tmpdir(), 'signal-gateway-checkout-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
  cpSync(ROOT, folder, {
    recursive: true,
    filter: (source) => !NOT_CHECKED_OUT.has(basename(source)) && relative(ROOT, source) !== join('bench', 'out'),
  });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** How long a command may take to end after Ctrl-C. */
const END_MS = 30_000;

/** A command line that runs in a shell, in a process group of its own as in a terminal. */
export class ShellCommand {
  readonly #process: ChildProcess;
  stdout = '';
  stderr = '';
  /** The exit code, or the name of the signal that ended it; unset while it runs. */
  ended: number | string | undefined;

  /** @param env - all that it has of an environment, beside where programs are and whose home it is */
  constructor(cleanup: Cleanup, line: string, cwd: string, env: Readonly<Record<string, string>>) {
    const base = {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      npm_config_update_notifier: 'false',
    };
    this.#process = spawn('bash', ['-c', line], {
      cwd,
      env: { ...base, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#process.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString()));
    this.#process.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.#process.once('close', (code, signal) => (this.ended = code ?? signal ?? 'unknown'));
    cleanup.add(this, async (self) => {
      self.#kill('SIGKILL');
      await self.end();
    });
  }

  /** Waits until it has ended by itself. */
  async end(limit = END_MS): Promise<number | string> {
    await until('the command to end', () => this.ended !== undefined, { seen: () => this, limit });
    return this.ended ?? 'unknown';
  }

  /** Types Ctrl-C: every process of the group gets the signal. */
  async interrupt(): Promise<number | string> {
    this.#kill('SIGINT');
    return this.end();
  }

  /** What `until` prints of it. */
  toJSON(): unknown {
    return { ended: this.ended, stdout: this.stdout.slice(-4000), stderr: this.stderr.slice(-4000) };
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#process;
    // By then the number of the group may be somebody else's.
    if (pid === undefined || this.ended !== undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group is gone.
    }
  }
}
