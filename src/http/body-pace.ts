import { Problem } from '../errors.js';
import type { GuardedResponse } from './guarded-response.js';

/** A body has this long to arrive. */
const WINDOW_MS = 20_000;
/** When at least this much of it came in that time, the rest has as long again: 16 KiB a second. */
const MIN_WINDOW_BYTES = (WINDOW_MS / 1000) * 16 * 1024;
/** uWebSockets.js would close the connection after 8 s at the earliest. */
const EXTEND_MS = 4000;

/**
 * Watches how fast a body arrives, and refuses one that is too slow with an answer. Without it, uWebSockets.js closes the
 * connection without an answer after about 12 s in which less than 160 KiB came.
 */
export class BodyPace {
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  #elapsedMs = 0;

  /**
   * @param res - the response of the request whose body is read; {@link stop} MUST be called before it is answered, and when
   *   it is aborted
   * @param refuse - called once, when the body is too slow
   */
  constructor(res: Pick<GuardedResponse, 'pause' | 'resume'>, refuse: (problem: Problem) => void) {
    this.#timer = setInterval(() => {
      this.#elapsedMs += EXTEND_MS;
      if (this.#elapsedMs >= WINDOW_MS) {
        if (this.#bytes < MIN_WINDOW_BYTES) {
          this.stop();
          refuse(tooSlow(this.#bytes));
          return;
        }
        this.#elapsedMs = 0;
        this.#bytes = 0;
      }
      // This restarts the time-out of uWebSockets.js.
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
