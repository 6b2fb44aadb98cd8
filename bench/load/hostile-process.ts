import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../../test/support/processes.js';
import type { Attack, FromHostile, HostileOrder, HostileReport } from './hostile-types.js';

const PATH = fileURLToPath(new URL('hostile.ts', import.meta.url));
/** On machines of their own hostile clients would take nothing from the pod; here they must not get the processor first. */
const NICENESS = 10;

/** The process of hostile clients, seen from the bench. */
export class HostileProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(cleanup: Cleanup): Promise<HostileProcess> {
    const args = ['-n', String(NICENESS), process.execPath, '--import', 'tsx', PATH];
    const child = spawn('nice', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    cleanup.add(child, (self) => self.kill('SIGKILL'));
    const hostile = new HostileProcess(child);
    await hostile.#hear('ready');
    return hostile;
  }

  /** Begins an attack; resolves when it is under way. One process carries out one attack. */
  async begin(port: number, attack: Attack): Promise<void> {
    const begun = this.#hear('begun');
    this.#tell({ do: 'attack', port, attack });
    await begun;
  }

  /** Ends it, and waits until its readers have what they want. @param bulk - signals for them that others have posted */
  async stop(bulk = 0): Promise<HostileReport> {
    const stopped = this.#hear('stopped');
    this.#tell({ do: 'stop', bulk });
    return (await stopped).report;
  }

  #tell(order: HostileOrder): void {
    this.#child.send(order);
  }

  #hear<K extends FromHostile['kind']>(kind: K): Promise<Extract<FromHostile, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('the process of hostile clients has ended'));
      const onMessage = (message: FromHostile): void => {
        if (message.kind === 'broken') reject(new Error(`an attack failed: ${message.reason}`));
        if (message.kind !== kind) return;
        this.#child.off('message', onMessage).off('exit', onExit);
        resolve(message as Extract<FromHostile, { kind: K }>);
      };
      this.#child.on('message', onMessage).once('exit', onExit);
    });
  }
}
