import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../../test/support/processes.js';
import { startNice } from '../load/nice-process.js';
import type { AttackName, AttackOrder, AttackReport } from './attack-orders.js';

const PATH = fileURLToPath(new URL('attackers.ts', import.meta.url));
const ANSWER_LIMIT_MS = 60_000;

/** The process of hostile clients, seen from the soak run. */
export class AttackProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(cleanup: Cleanup): Promise<AttackProcess> {
    const attackers = new AttackProcess(startNice(PATH, cleanup));
    await attackers.#hear('ready');
    return attackers;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Begins attacks, all at the same time. */
  begin(port: number, names: readonly AttackName[]): void {
    this.#tell({ do: 'attack', port, names });
  }

  /** Ends them. @returns how often each was carried out, and in how many seconds */
  async stop(): Promise<Extract<AttackReport, { kind: 'stopped' }>> {
    const stopped = this.#hear('stopped');
    this.#tell({ do: 'stop' });
    return stopped;
  }

  #tell(order: AttackOrder): void {
    this.#child.send(order);
  }

  #hear<K extends AttackReport['kind']>(kind: K): Promise<Extract<AttackReport, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const over = (reason: string) => (): void => {
        stop();
        reject(new Error(`the process of hostile clients ${reason}`));
      };
      const onExit = over('has ended');
      const timer = setTimeout(over(`did not tell in time: ${kind}`), ANSWER_LIMIT_MS);
      const onMessage = (report: AttackReport): void => {
        if (report.kind !== kind) return;
        stop();
        resolve(report as Extract<AttackReport, { kind: K }>);
      };
      const stop = (): void => {
        clearTimeout(timer);
        this.#child.off('message', onMessage).off('exit', onExit);
      };
      this.#child.on('message', onMessage).once('exit', onExit);
    });
  }
}
