import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { LeaseAnswer } from '../journal/lease.js';
import { withTimeout } from '../deadline.js';
import { messageOf } from '../errors.js';
import type { BridgeQueue } from './bridge-queue.js';

/** What it takes to agree with the other pods. */
export interface PrecedenceOptions {
  readonly queue: Pick<BridgeQueue, 'heardBefore' | 'waits' | 'waitingSince'>;
  /**
   * Publishes a question on the channel of the canaries. Resolves to how many subscriptions hear it, this pod's own among
   * them; to `undefined` where that is not known.
   */
  readonly ask: (text: string) => Promise<number | undefined>;
  /** Publishes an objection on the same channel. MUST NOT need a connection that may be on its way back. */
  readonly object: (text: string) => Promise<unknown>;
  /** How long others have to object, ms. */
  readonly patience: number;
  readonly log: Logger;
}

/** A holder that says nothing for this long has lost the lease. */
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
/** The same for a pod that has not heard what another has, which may have to connect anew first. */
const OBJECTED_MS = 3000;
const TRIES = 3;
const RETRY_MS = 100;

const QUESTION = /^question!([\w-]+)!(\d+)$/;
const OBJECTION = /^objection!([\w-]+)!(.*)$/s;

/** @returns the names in an objection; none if it is not well-formed */
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
 * A pod can not append what was published before its subscription began. If another pod has heard such a message, and it
 * is not in the journal, that pod has to append before this one, or a producer's order is broken. So a pod that has taken
 * the lease over, and can not be sure that there is no such message, publishes a question with the age of its
 * subscription (the clocks of pods can not be compared, ages can). A pod with waiting messages from before that answers
 * with an objection that names the oldest of them. Whoever lacks one leaves the bridge to those who object, for a while: one
 * that then can not take it blocks nobody for long. Pods that know nothing of this do not object, and ask nobody.
 */
export class Precedence {
  readonly #options: PrecedenceOptions;
  #subscribedAt: number | undefined;
  /** Since this subscription began, a pod was known to hold the lease. */
  #sawHolder = false;
  /** Since when a pod is known to hold the lease. */
  #heldSince: number | undefined;
  /** What was published before this subscription began is in the journal, as far as a holder had heard it. */
  #isCovered = false;
  #freeSince: number | undefined;
  #standsBackUntil = 0;
  /** Since when this pod objects to others, until one of them or this pod has held the lease for a while. */
  #objectsSince: number | undefined;
  /** What this pod says against another, or has said last. */
  #objection = '';
  #isObjecting = false;
  /** This pod has left the bridge to others; until one has held the lease for a while. */
  #hasYielded = false;
  #question: { readonly mark: string; readonly onObjection: () => void } | undefined;

  constructor(options: PrecedenceOptions) {
    this.#options = options;
  }

  /** Notes that the subscription was made anew. */
  subscribed(now: number): void {
    this.#subscribedAt = now;
    this.#sawHolder = false;
    this.#heldSince = undefined;
    this.#isCovered = false;
    this.#objectsSince = undefined;
    this.#hasYielded = false;
  }

  /** Notes that the lease can not be asked for. */
  unlinked(): void {
    this.#freeSince = undefined;
    this.#heldSince = undefined;
  }

  /** Notes that this pod hands the bridge over. */
  retired(now: number): void {
    this.#standsBackUntil = now + RETIRED_MS;
  }

  /**
   * Notes an answer to a request for the lease.
   *
   * @param appends - whether this pod holds it, and has begun to append
   */
  answered(answer: LeaseAnswer, appends: boolean, now: number): void {
    this.#freeSince = answer === 'wait' ? (this.#freeSince ?? now) : undefined;
    const isHeld = answer === 'other' || (answer === 'held' && appends);
    this.#heldSince = isHeld ? (this.#heldSince ?? now) : undefined;
    if (!isHeld) return;
    this.#sawHolder = true;
    if (now - (this.#heldSince ?? now) < SURE_MS) return;
    this.#isCovered = true;
    this.#objectsSince = undefined;
    this.#hasYielded = false;
  }

  /** Whether this pod leaves a free lease alone. */
  standsBack(now: number): boolean {
    const isBack = now < this.#standsBackUntil;
    // It does not look meanwhile: who holds the lease then may be another than before.
    if (isBack) this.#heldSince = undefined;
    return isBack;
  }

  /** Whether this pod may take the lease from a holder that ended without releasing it. */
  mayTakeOver(now: number): boolean {
    const patience = this.#sawHolder ? DEFER_MS : NEWCOMER_DEFER_MS;
    const isPatient = this.#freeSince !== undefined && now - this.#freeSince >= patience;
    return this.#age(now) >= SEASONED_MS || isPatient || this.#objectsSince !== undefined;
  }

  /**
   * Asks the other pods, if need be, whether this one may append what waits; for one that has read the journal to its end.
   *
   * @returns whether none has objected
   * @throws if they can not be asked
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
      const objected = await withTimeout(this.#options.patience, 'objecting', objection).then(
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
  heard(text: string, now: number): void {
    const [, asked, age] = QUESTION.exec(text) ?? [];
    if (asked !== undefined && asked !== this.#question?.mark) this.#considerObjecting(asked, now - Number(age), now);
    // What it names may have come out of the journal meanwhile.
    if (text === this.#objection) return;
    const [, mark, list = ''] = OBJECTION.exec(text) ?? [];
    if (mark === undefined || this.#options.queue.waits(namesIn(list))) return;
    const isMine = mark === this.#question?.mark;
    if (!isMine && this.#isSure(now)) return;
    this.#standsBackUntil = now + OBJECTED_MS;
    if (isMine) this.#question?.onObjection();
  }

  /** @param began - when the subscription of the pod that asks began, or somewhat later: the question took its time */
  #considerObjecting(mark: string, began: number, now: number): void {
    const names = this.#options.queue.heardBefore(began);
    if (names.length === 0) return;
    this.#objectsSince ??= now;
    // It had its time to take the lease.
    if (now - this.#objectsSince >= OBJECTED_MS) return;
    this.#standsBackUntil = 0;
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
        this.#options.log.debug({ reason: messageOf(error) }, 'an objection could not be published');
        await sleep(RETRY_MS);
      }
    }
    this.#isObjecting = false;
  }

  #age(now: number): number {
    return this.#subscribedAt === undefined ? 0 : now - this.#subscribedAt;
  }

  /** Whether no other pod can have heard what has to come before that which waits here. */
  #isSure(now: number): boolean {
    const since = this.#options.queue.waitingSince;
    // A holder that could not append kept the lease all the same.
    const wasStuck = since !== undefined && now - since >= SEASONED_MS;
    return this.#isCovered && !wasStuck;
  }
}
