import { fileURLToPath } from 'node:url';
import { CalledServer, type Step } from './called-server.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';

const MAIN = fileURLToPath(new URL('emitting-pod.mjs', import.meta.url));

/** A gateway whose Socket.IO server a test can call. */
export class EmittingPod {
  /** The gateway itself. */
  readonly pod: Pod;
  readonly #server: CalledServer;

  private constructor(pod: Pod) {
    this.pod = pod;
    this.#server = new CalledServer(pod.child);
  }

  /** Starts one and waits until it is ready. */
  static async start(cleanup: Cleanup, env: Readonly<Record<string, string>>): Promise<EmittingPod> {
    return new EmittingPod(await Pod.start(cleanup, env, { main: MAIN }));
  }

  /** As {@link CalledServer.call}. */
  call(...steps: readonly Step[]): Promise<unknown> {
    return this.#server.call(...steps);
  }
}
