/** Shorter bodies always find room. */
const SMALL_BYTES = 64 * 1024;

/** Room for the bodies of requests that are worked on at the same time: each takes several times its length in memory. */
export class BodyBudget {
  readonly #mostBytes: number;
  #takenBytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Room for one body. */
  open(): BodyRoom {
    let taken = 0;
    return {
      grow: (bytes) => {
        if (bytes <= Math.max(taken, SMALL_BYTES)) return true;
        if (this.#takenBytes - taken + bytes > this.#mostBytes) return false;
        this.#takenBytes += bytes - taken;
        taken = bytes;
        return true;
      },
      close: () => {
        this.#takenBytes -= taken;
        taken = 0;
      },
    };
  }
}

/** Room that one body takes. */
export interface BodyRoom {
  /** @returns whether there is room for a body of so many bytes */
  grow(bytes: number): boolean;
  /** MUST be called when the body is no longer worked on. */
  close(): void;
}
