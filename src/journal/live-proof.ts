import { BLOCK_MS } from './stream-read.js';

/** How often it is noted that this process runs. */
const TICK_MS = 100;
/** A process that did not run for longer stood still: what it then finds in its sockets may be old. */
const STALL_MS = 600;
/** A read that waits for so long has reached Redis, which answers it as soon as there is something. */
const WAITED_MS = 100;
/** Redis answers a waiting read after {@link BLOCK_MS}; an answer that is later than this beyond it may never come. */
const LATE_MS = 500;
/** For so long an answer proves that the reader had everything. */
const PROOF_MS = 250;

/**
 * Tells whether a reader was reading live until its link broke. If it was, Redis had sent it everything that anybody was told
 * is in the journal. If not (this process stood still, or an answer was late), others may have had more.
 */
export class LiveProof {
  readonly #timer: NodeJS.Timeout;
  #tickMs = performance.now();
  #stallEndMs = 0;
  /** When the read that Redis has not answered was sent. */
  #sentMs: number | undefined;
  #provenMs = this.#tickMs;

  /** Begins to watch a link, on which the end of the journal has just been found. */
  constructor() {
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      if (nowMs - this.#tickMs > STALL_MS) this.#stallEndMs = nowMs;
      this.#tickMs = nowMs;
    }, TICK_MS).unref();
  }

  /** Ends watching. */
  end(): void {
    clearInterval(this.#timer);
  }

  /** Notes a read that waits for something to come, until its answer. */
  async note<T>(read: Promise<T>): Promise<T> {
    const sentMs = performance.now();
    this.#sentMs = sentMs;
    const answer = await read;
    // An answer that lay in the socket while the process stood still proves what was when it was asked for.
    this.#provenMs = this.#hasRunSince(sentMs) ? performance.now() : sentMs;
    this.#sentMs = undefined;
    return answer;
  }

  /** Whether everything that Redis has answered for until now has reached this process. */
  get holds(): boolean {
    const nowMs = performance.now();
    const waitedMs = this.#sentMs === undefined ? 0 : nowMs - this.#sentMs;
    // What Redis had answered would have come before the end of the link, however long it lay in the socket.
    if (waitedMs >= WAITED_MS && waitedMs <= BLOCK_MS + LATE_MS) return true;
    return nowMs - this.#provenMs <= PROOF_MS;
  }

  #hasRunSince(atMs: number): boolean {
    return this.#stallEndMs < atMs && performance.now() - this.#tickMs <= STALL_MS;
  }
}
