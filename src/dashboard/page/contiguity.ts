import type { Offset } from '../../contract/offset.js';

/**
 * Checks that what arrives has no hole: within an epoch of the journal, numbers grow by exactly one. From one epoch to the
 * next they jump; the gateway says so if anything was lost there.
 */
export class Contiguity {
  /** Set where not every message is meant for this page: numbers that are left out say nothing then. */
  isPartial = false;
  #last: Offset | undefined;
  #missed = 0;
  #holes = 0;
  #repeated = 0;
  #lostJournals = 0;

  /** The newest place that was reached. */
  get last(): Offset | undefined {
    return this.#last;
  }

  /** Messages that never came. */
  get missed(): number {
    return this.#missed;
  }

  /** Places where at least one is missing. */
  get holes(): number {
    return this.#holes;
  }

  /** Messages that arrived once more than they should. */
  get repeated(): number {
    return this.#repeated;
  }

  /** How often the gateway continued with another journal: what was missed then has no number. */
  get lostJournals(): number {
    return this.#lostJournals;
  }

  /** Whether everything came, once. */
  get isWhole(): boolean {
    return this.#missed === 0 && this.#repeated === 0 && this.#lostJournals === 0;
  }

  /**
   * A message came.
   *
   * @returns how many are missing before it
   */
  take(place: Offset): number {
    const last = this.#last;
    if (last !== undefined && last.epoch === place.epoch && place.seq <= last.seq) {
      this.#repeated++;
      return 0;
    }
    this.#last = place;
    if (last?.epoch !== place.epoch || place.seq === last.seq + 1) return 0;
    return this.#note(place.seq - last.seq - 1);
  }

  /**
   * The gateway says that the message at this place was deleted: nothing comes there, and nothing is missing.
   *
   * @returns how many are missing before it
   */
  pass(place: Offset): number {
    const last = this.#last;
    // Told once more after a reconnect.
    if (last !== undefined && last.epoch === place.epoch && place.seq <= last.seq) return 0;
    return this.take(place);
  }

  /**
   * The gateway says that what follows comes after this place.
   *
   * @returns how many are missing before it, as far as that can be known
   */
  moveTo(place: Offset): number {
    const last = this.#last;
    if (last !== undefined && last.epoch === place.epoch && place.seq < last.seq) return 0;
    this.#last = place;
    if (last === undefined) return 0;
    if (last.epoch !== place.epoch) {
      this.#lostJournals++;
      return 0;
    }
    if (place.seq <= last.seq) return 0;
    return this.#note(place.seq - last.seq);
  }

  #note(missing: number): number {
    if (this.isPartial) return 0;
    this.#missed += missing;
    this.#holes++;
    return missing;
  }
}
