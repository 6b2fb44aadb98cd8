/** The state of somebody who has taken nothing yet. */
export const NOTHING_TAKEN = 0;

/** ms by which a sum of times may be off: without it, the last unit of a burst would be refused every other time. */
const ROUNDING_MS = 0.001;

/**
 * How much of something there may be in a second, over a while: the generic cell rate algorithm (ITU-T I.371), which
 * keeps one number, the time at which all that was taken so far is paid for.
 */
export class Rate {
  readonly #msPerUnit: number;
  readonly #burstMs: number;

  /**
   * @param perSecond - units a second
   * @param burst - units that may come at once after a quiet time
   */
  constructor(perSecond: number, burst: number) {
    this.#msPerUnit = 1000 / perSecond;
    this.#burstMs = (burst * 1000) / perSecond;
  }

  /**
   * Takes units.
   *
   * @param paidAtMs - the state so far
   * @returns the new state, or `undefined` when there is no room for so many
   */
  take(paidAtMs: number, units: number, nowMs: number): number | undefined {
    const nextMs = Math.max(paidAtMs, nowMs) + units * this.#msPerUnit;
    return nextMs - nowMs <= this.#burstMs + ROUNDING_MS ? nextMs : undefined;
  }

  /** Takes units whether or not there is room for them: what follows waits for longer. @returns the new state */
  charge(paidAtMs: number, units: number, nowMs: number): number {
    return Math.max(paidAtMs, nowMs) + units * this.#msPerUnit;
  }

  /** How long it takes until there is room for one unit; 0 when there is. */
  waitMs(paidAtMs: number, nowMs: number): number {
    return Math.max(0, Math.max(paidAtMs, nowMs) + this.#msPerUnit - nowMs - this.#burstMs);
  }
}

/** Keys checked for each one that is added, so that those long quiet go and the table stays small. */
const SWEPT_AT_ONCE = 2;

/** A rate for each of many keys. It remembers a key only as long as what it took counts. */
export class KeyedRate {
  readonly #rate: Rate;
  readonly #paidAtMs = new Map<string, number>();
  #sweep = this.#paidAtMs.entries();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Takes one unit. @returns whether there was room for it */
  take(key: string, nowMs: number): boolean {
    const nextMs = this.#rate.take(this.#paidAtMs.get(key) ?? NOTHING_TAKEN, 1, nowMs);
    if (nextMs === undefined) return false;
    this.#paidAtMs.set(key, nextMs);
    this.#forget(nowMs);
    return true;
  }

  #forget(nowMs: number): void {
    for (let i = 0; i < SWEPT_AT_ONCE; i++) {
      const { done, value } = this.#sweep.next();
      if (done === true) {
        this.#sweep = this.#paidAtMs.entries();
        return;
      }
      if (value[1] <= nowMs) this.#paidAtMs.delete(value[0]);
    }
  }
}
