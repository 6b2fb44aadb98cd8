import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { messageOf } from '../errors.js';
import type { BridgeLeaseAnswer } from './bridge-lease.js';
import type { BridgeQueue } from './bridge-queue.js';

/** What it takes to agree with the other pods. */
export interface PrecedenceOptions {
  readonly queue: Pick<BridgeQueue, 'heardBefore' | 'waits' | 'waitingSinceMs'>;
  /**
   * Publishes a question on the channel of the canaries. Resolves to how many subscriptions hear it, this pod's own among
   * them; to `undefined` where that is not known.
   */
  readonly ask: (text: string) => Promise<number | undefined>;
  /** Publishes an objection on the same channel. MUST NOT need a connection that may be on its way back. */
  readonly object: (text: string) => Promise<unknown>;
  /** How long others have to object. */
  readonly patienceMs: number;
  readonly log: Logger;
}

/** A holder that stays silent for this long has lost the lease. */
export const LEASE_TTL_MS = 3000;
/** A subscription younger than this may have missed what a dead holder had not appended yet; older pods go first. */
const SEASONED_MS = LEASE_TTL_MS + 2000;
/** How long a free lease is left to pods with an older subscription. */
const DEFER_MS = 1500;
/** The same for a pod that was not subscribed yet when the lease became free. */
const NEWCOMER_DEFER_MS = 3000;
/**
 * Where the lease is held so long after the subscription began, what was published before has been appended: longer than
 * a pod that dies while it takes the lease over can keep it.
 */
const SURE_MS = LEASE_TTL_MS + 1000;
/** How long a pod that has handed the bridge over leaves it to others. */
const RETIRED_MS = 2000;
/** The same for a pod that has not heard what another has; that other may have to reconnect first. */
const OBJECTED_MS = 3000;
const TRIES = 3;
const RETRY_MS = 100;

const QUESTION = /^question!([\w-]+)!(\d+)$/;
const OBJECTION = /^objection!([\w-]+)!(.*)$/s;

/** @returns the names in an objection; empty if it is malformed */
function namesIn(text: string): readonly string[] {
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) ? names.map(String) : [];
  } catch {
    return [];
  }
}

/**
 * Says which pod goes first when the lease of the bridge is taken over.
 *
 * A pod cannot append what was published before its subscription began. If another pod has heard such a message, and it
 * is not in the journal, that pod has to append before this one, or a producer's order is broken. So a pod that has taken
 * the lease over, and cannot be sure that there is no such message, publishes a question with the age of its
 * subscription (the clocks of pods cannot be compared, ages can). A pod with waiting messages from before that answers
 * with an objection that names the oldest of them. Whoever lacks one leaves the bridge to those who object, but only
 * for a while: a pod that objects and then cannot take the lease blocks nobody for long.
 */
export class Precedence {
  readonly #options: PrecedenceOptions;
  #subscribedAtMs: number | undefined;
  /** Since this subscription began, a pod was known to hold the lease. */
  #sawHolder = false;
  /** Since when a pod is known to hold the lease. */
  #heldSinceMs: number | undefined;
  /** What was published before this subscription began is in the journal, as far as a holder had heard it. */
  #isCovered = false;
  #freeSinceMs: number | undefined;
  #standsBackUntilMs = 0;
  /** Since when this pod objects to others, until one of them or this pod has held the lease for a while. */
  #objectsSinceMs: number | undefined;
  /** What this pod says against another, or has said last. */
  #objection = '';
  #isObjecting = false;
  /** This pod has left the bridge to others; until one has held the lease for a while. */
  #hasYielded = false;
  #question: { readonly mark: string; readonly onObjection: () => void } | undefined;

  constructor(options: PrecedenceOptions) {
    this.#options = options;
  }

  /** Notes that there is a new subscription. */
  subscribed(nowMs: number): void {
    this.#subscribedAtMs = nowMs;
    this.#sawHolder = false;
    this.#heldSinceMs = undefined;
    this.#isCovered = false;
    this.#objectsSinceMs = undefined;
    this.#hasYielded = false;
  }

  /** Notes that the lease cannot be asked for. */
  unlinked(): void {
    this.#freeSinceMs = undefined;
    this.#heldSinceMs = undefined;
  }

  /** Notes that this pod hands the bridge over. */
  retired(nowMs: number): void {
    this.#standsBackUntilMs = nowMs + RETIRED_MS;
  }

  /**
   * Notes an answer to a request for the lease.
   *
   * @param appends - whether this pod holds it, and has begun to append
   */
  answered(answer: BridgeLeaseAnswer, appends: boolean, nowMs: number): void {
    this.#freeSinceMs = answer === 'wait' ? (this.#freeSinceMs ?? nowMs) : undefined;
    const isHeld = answer === 'other' || (answer === 'held' && appends);
    this.#heldSinceMs = isHeld ? (this.#heldSinceMs ?? nowMs) : undefined;
    if (!isHeld) return;
    this.#sawHolder = true;
    if (nowMs - (this.#heldSinceMs ?? nowMs) < SURE_MS) return;
    this.#isCovered = true;
    this.#objectsSinceMs = undefined;
    this.#hasYielded = false;
  }

  /** Whether this pod leaves a free lease alone. */
  standsBack(nowMs: number): boolean {
    const isBack = nowMs < this.#standsBackUntilMs;
    // It does not look meanwhile: who holds the lease then may be another than before.
    if (isBack) this.#heldSinceMs = undefined;
    return isBack;
  }

  /** Whether this pod may take the lease from a holder that ended without releasing it. */
  mayTakeOver(nowMs: number): boolean {
    const patience = this.#sawHolder ? DEFER_MS : NEWCOMER_DEFER_MS;
    const isPatient = this.#freeSinceMs !== undefined && nowMs - this.#freeSinceMs >= patience;
    return this.#age(nowMs) >= SEASONED_MS || isPatient || this.#objectsSinceMs !== undefined;
  }

  /**
   * Asks the other pods, if need be, whether this one may append what waits; for one that has read the journal to its end.
   *
   * @returns whether no pod has objected
   * @throws if they cannot be asked
   */
  async mayAppend(): Promise<boolean> {
    // Whoever objected has had its time.
    if (this.#hasYielded || this.#isSure(performance.now())) return true;
    const mark = randomBytes(6).toString('base64url');
    const objection = new Promise<void>((resolve) => {
      this.#question = { mark, onObjection: resolve };
    });
    try {
      const hearers = await this.#options.ask(`question!${mark}!${Math.floor(this.#age(performance.now()))}`);
      if (hearers !== undefined && hearers <= 1) return true;
      const objected = await withTimeout(this.#options.patienceMs, 'objecting', objection).then(
        () => true,
        () => false,
      );
      this.#hasYielded = objected;
      return !objected;
    } finally {
      // The lease may have been lost and taken again meanwhile, and a newer question be open.
      if (this.#question?.mark === mark) this.#question = undefined;
    }
  }

  /** Takes a question or an objection from the channel of the canaries. */
  heard(text: string, nowMs: number): void {
    const [, asked, age] = QUESTION.exec(text) ?? [];
    if (asked !== undefined && asked !== this.#question?.mark)
      this.#considerObjecting(asked, nowMs - Number(age), nowMs);
    // What it names may have come out of the journal meanwhile.
    if (text === this.#objection) return;
    const [, mark, list = ''] = OBJECTION.exec(text) ?? [];
    if (mark === undefined || this.#options.queue.waits(namesIn(list))) return;
    const isMine = mark === this.#question?.mark;
    if (!isMine && this.#isSure(nowMs)) return;
    this.#standsBackUntilMs = nowMs + OBJECTED_MS;
    if (isMine) this.#question?.onObjection();
  }

  /** @param beganMs - when the subscription of the pod that asks began, or somewhat later: the question took its time */
  #considerObjecting(mark: string, beganMs: number, nowMs: number): void {
    const names = this.#options.queue.heardBefore(beganMs);
    if (names.length === 0) return;
    this.#objectsSinceMs ??= nowMs;
    // It had its time to take the lease.
    if (nowMs - this.#objectsSinceMs >= OBJECTED_MS) return;
    this.#standsBackUntilMs = 0;
    this.#objection = `objection!${mark}!${JSON.stringify(names)}`;
    void this.#object();
  }

  /** One at a time, since each takes a connection; of those that come meanwhile the newest. */
  async #object(): Promise<void> {
    if (this.#isObjecting) return;
    this.#isObjecting = true;
    let text = '';
    for (let tries = 0; tries < TRIES; tries++) {
      if (text !== this.#objection) tries = 0;
      text = this.#objection;
      try {
        await this.#options.object(text);
        if (text === this.#objection) break;
      } catch (error) {
        this.#options.log.debug({ reason: messageOf(error) }, 'cannot publish an objection');
        await sleep(RETRY_MS);
      }
    }
    this.#isObjecting = false;
  }

  #age(nowMs: number): number {
    return this.#subscribedAtMs === undefined ? 0 : nowMs - this.#subscribedAtMs;
  }

  /** Whether no other pod can have heard what has to come before that which waits here. */
  #isSure(nowMs: number): boolean {
    const since = this.#options.queue.waitingSinceMs;
    // A holder that could not append still kept the lease.
    const wasStuck = since !== undefined && nowMs - since >= SEASONED_MS;
    return this.#isCovered && !wasStuck;
  }
}
