import type { PageInfo } from '../dashboard-info.js';

/** How often the page asks the pod. */
const EVERY_MS = 3000;

/** Asks the pod about itself at intervals, while that makes sense. */
export class PodWatch {
  readonly #isUseful: () => boolean;
  readonly #headers: () => Readonly<Record<string, string>>;
  readonly #onInfo: (info: PageInfo) => void;
  #asked = 0;

  /**
   * @param isUseful - whether the pod can be reached; a request that fails would be noise in the console
   * @param headers - headers of a request
   * @param onInfo - called with every answer to the newest request
   */
  constructor(
    isUseful: () => boolean,
    headers: () => Readonly<Record<string, string>>,
    onInfo: (info: PageInfo) => void,
  ) {
    this.#isUseful = isUseful;
    this.#headers = headers;
    this.#onInfo = onInfo;
    setInterval(() => {
      if (this.#isUseful() && !document.hidden) void this.ask();
    }, EVERY_MS);
  }

  /** @returns `undefined` when there is no answer */
  async ask(): Promise<PageInfo | undefined> {
    const asked = ++this.#asked;
    try {
      const answer = await fetch('dashboard/info', { headers: this.#headers() });
      if (!answer.ok) return undefined;
      const info = (await answer.json()) as PageInfo;
      // An earlier request may have presented something else.
      if (asked === this.#asked) this.#onInfo(info);
      return info;
    } catch {
      return undefined;
    }
  }
}
