import type { Child } from './processes.js';

/** A call of a method: its name and its arguments. */
export type Step = readonly [method: string, ...args: unknown[]];

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A Socket.IO server in another process that a test can call, over IPC; see answer-calls.mjs. */
export class CalledServer {
  readonly #child: Child;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #calls = 0;

  constructor(child: Child) {
    this.#child = child;
    child.process.on('message', (message) => {
      const answer = message as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
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
      void this.#child.exit.then(() => reject(new Error(`the process has ended: ${this.#child.stderr}`)));
    });
    this.#child.process.send({ id, steps });
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(error);
    return result;
  }
}
