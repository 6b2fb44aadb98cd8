/**
 * How much of something there may be in a second, over a while: the generic cell rate algorithm (ITU-T I.371), which
 * keeps one number, the time at which all that was taken so far is paid for.
 */
export interface Rate {
  /** Units a second. */
  readonly perSecond: number;
  /** Units that may come at once after a quiet time. */
  readonly burst: number;
}

/** The state of somebody who has taken nothing yet. */
export const NOTHING_TAKEN = 0;

/** ms by which a sum of times may be off: without it, the last unit of a burst would be refused every other time. */
const ROUNDING = 0.001;

/**
 * Takes units.
 *
 * @param paidAt - the state so far
 * @param now - ms
 * @returns the new state, or `undefined` when there is no room for so many
 */
export function take({ perSecond, burst }: Rate, paidAt: number, units: number, now: number): number | undefined {
  const next = Math.max(paidAt, now) + (units * 1000) / perSecond;
  return next - now <= (burst * 1000) / perSecond + ROUNDING ? next : undefined;
}

/** Keys looked at for each one that is added, so that those long quiet go and the table stays small. */
const SWEPT_AT_ONCE = 2;

/** A rate for each of many keys. It remembers a key only as long as what it took counts. */
export class KeyedRate {
  readonly #rate: Rate;
  readonly #paidAt = new Map<string, number>();
  #sweep = this.#paidAt.entries();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Takes one unit. @returns whether there was room for it */
  take(key: string, now: number): boolean {
    const next = take(this.#rate, this.#paidAt.get(key) ?? NOTHING_TAKEN, 1, now);
    if (next === undefined) return false;
    this.#paidAt.set(key, next);
    this.#forget(now);
    return true;
  }

  #forget(now: number): void {
    for (let i = 0; i < SWEPT_AT_ONCE; i++) {
      const { done, value } = this.#sweep.next();
      if (done === true) {
        this.#sweep = this.#paidAt.entries();
        return;
      }
      if (value[1] <= now) this.#paidAt.delete(value[0]);
    }
  }
}
