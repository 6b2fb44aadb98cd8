import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../../test/support/processes.js';
import type { Attack, FromHostile, HostileOrder, HostileReport } from './hostile-types.js';
import { startNice } from './nice-process.js';

const PATH = fileURLToPath(new URL('hostile.ts', import.meta.url));

/** The process of hostile clients, seen from the bench. */
export class HostileProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(cleanup: Cleanup): Promise<HostileProcess> {
    const hostile = new HostileProcess(startNice(PATH, cleanup));
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
