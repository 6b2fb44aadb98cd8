/** What the gateway says of the pod that serves this page. */
export interface DashboardInfo {
  readonly pod: string;
  readonly version: string;
  readonly connections: number;
  /** Newest offset of its journal. */
  readonly head: string;
  /** What a page has to present to publish: the token of a link, or a key. */
  readonly publishWith: 'link' | 'api_key';
  /** Whether what this page presents is that. */
  readonly mayPublish: boolean;
}

/** How often the number of clients is asked for. */
const EVERY_MS = 3000;

/** Asks the pod about itself, again and again while that makes sense. */
export class PodWatch {
  readonly #isUseful: () => boolean;
  readonly #headers: () => Readonly<Record<string, string>>;
  readonly #onInfo: (info: DashboardInfo) => void;
  #asked = 0;

  /**
   * @param isUseful - whether the pod can be reached; a request that fails would be noise in the console
   * @param headers - what a question presents
   * @param onInfo - told of every answer to the newest question
   */
  constructor(
    isUseful: () => boolean,
    headers: () => Readonly<Record<string, string>>,
    onInfo: (info: DashboardInfo) => void,
  ) {
    this.#isUseful = isUseful;
    this.#headers = headers;
    this.#onInfo = onInfo;
    setInterval(() => {
      if (this.#isUseful() && !document.hidden) void this.ask();
    }, EVERY_MS);
  }

  /** @returns `undefined` when there is no answer */
  async ask(): Promise<DashboardInfo | undefined> {
    const asked = ++this.#asked;
    try {
      const answer = await fetch('dashboard/info', { headers: this.#headers() });
      if (!answer.ok) return undefined;
      const info = (await answer.json()) as DashboardInfo;
      // One that was asked before presented something else, perhaps.
      if (asked === this.#asked) this.#onInfo(info);
      return info;
    } catch {
      return undefined;
    }
  }
}
