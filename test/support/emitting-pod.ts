import { fileURLToPath } from 'node:url';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';

const MAIN = fileURLToPath(new URL('emitting-pod.mjs', import.meta.url));

/** A call of a method: its name and its arguments. */
export type Step = readonly [method: string, ...args: unknown[]];

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A gateway whose Socket.IO server a test can call, over IPC. */
export class EmittingPod {
  /** The gateway itself. */
  readonly pod: Pod;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #calls = 0;

  private constructor(pod: Pod) {
    this.pod = pod;
    pod.child.process.on('message', (message) => {
      const answer = message as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** Starts one and waits until it is ready. */
  static async start(cleanup: Cleanup, env: Readonly<Record<string, string>>): Promise<EmittingPod> {
    return new EmittingPod(await Pod.start(cleanup, env, { main: MAIN }));
  }

  /**
   * Calls methods, each on the result of the one before, the first on the Socket.IO server: `['in', 'room'], ['emit',
   * 'event']`.
   *
   * @returns the last result where it is plain; of an array of sockets their ids
   * @throws what a method threw
   */
  async call(...steps: readonly Step[]): Promise<unknown> {
    const id = ++this.#calls;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(id, resolve);
      void this.pod.child.exit.then(() => reject(new Error(`the pod has ended: ${this.pod.output()}`)));
    });
    this.pod.child.process.send({ id, steps });
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(error);
    return result;
  }
}
