/** What the gateway says of the pod that serves this page. */
export interface PodInfo {
  readonly pod: string;
  readonly version: string;
  readonly connections: number;
  /** Newest offset of its journal. */
  readonly head: string;
  readonly mayPublish: boolean;
}

/** How often the number of clients is asked for. */
const EVERY_MS = 3000;

/** Asks the pod about itself, again and again while that makes sense. */
export class PodWatch {
  readonly #isUseful: () => boolean;
  readonly #onInfo: (info: PodInfo) => void;

  /**
   * @param isUseful - whether the pod can be reached; a request that fails would be noise in the console
   * @param onInfo - told of every answer
   */
  constructor(isUseful: () => boolean, onInfo: (info: PodInfo) => void) {
    this.#isUseful = isUseful;
    this.#onInfo = onInfo;
    setInterval(() => {
      if (this.#isUseful() && !document.hidden) void this.ask();
    }, EVERY_MS);
  }

  /** @returns `undefined` when there is no answer */
  async ask(): Promise<PodInfo | undefined> {
    try {
      const answer = await fetch('dashboard/info');
      if (!answer.ok) return undefined;
      const info = (await answer.json()) as PodInfo;
      this.#onInfo(info);
      return info;
    } catch {
      return undefined;
    }
  }
}
