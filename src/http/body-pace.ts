import { Problem } from '../errors.js';
import type { GuardedResponse } from './guarded-response.js';

/** A body, or what is left of it, has so long. */
const WINDOW_MS = 20_000;
/** Unless at least this much of it came in that time: then it has as long again. That is 16 KiB a second. */
const MIN_WINDOW_BYTES = (WINDOW_MS / 1000) * 16 * 1024;
/** uWebSockets.js would close the connection after 8 s at the earliest. */
const EXTEND_MS = 4000;

/**
 * Watches how fast a body comes, and refuses one that is too slow with an answer. uWebSockets.js alone cuts its sender
 * without a word after about 12 s in which fewer than 160 KiB came.
 */
export class BodyPace {
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  #elapsed = 0;

  /**
   * @param res - of which a body is being read; {@link stop} MUST be called before it is answered or when it is aborted
   * @param refuse - told once, when the body is too slow
   */
  constructor(res: Pick<GuardedResponse, 'pause' | 'resume'>, refuse: (problem: Problem) => void) {
    this.#timer = setInterval(() => {
      this.#elapsed += EXTEND_MS;
      if (this.#elapsed >= WINDOW_MS) {
        if (this.#bytes < MIN_WINDOW_BYTES) {
          this.stop();
          refuse(tooSlow(this.#bytes));
          return;
        }
        this.#elapsed = 0;
        this.#bytes = 0;
      }
      // Its time-out begins anew.
      res.pause();
      res.resume();
    }, EXTEND_MS);
  }

  /** Notes a part of the body. @param bytes - its length */
  note(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Ends the watch. May be called twice. */
  stop(): void {
    clearInterval(this.#timer);
  }
}

function tooSlow(bytes: number): Problem {
  return new Problem(
    'request_timeout',
    `The body came too slowly: ${bytes} bytes of it in ${WINDOW_MS / 1000} s. Send it faster, or in smaller parts. ` +
      'Nothing was done.',
  );
}
