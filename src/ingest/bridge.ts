import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { FeedMessage } from '../contract/decode.js';
import { messageOf } from '../errors.js';
import type { BridgeLease } from './bridge-lease.js';
import { BridgeLog } from './bridge-log.js';
import { BridgePump, type FencedJournal } from './bridge-pump.js';
import { BridgeQueue, type QueuedMessage, type SeenEntry } from './bridge-queue.js';
import { Canaries } from './canaries.js';
import { LeaseTerm, type LeaseTermOptions } from './lease-term.js';
import { Precedence } from './precedence.js';

/** What the bridge needs of the journal. */
export interface BridgedJournal extends FencedJournal {
  /** Entries in the journal that this pod has not read yet, as far as it knows. */
  lag(): number;
  /** Resolves when this pod has read all that is in the journal now, or when that is no longer wanted. */
  caughtUp(isWanted: () => boolean): Promise<void>;
}

/** How the bridge is set up, and its callbacks. */
export interface BridgeOptions {
  readonly journal: BridgedJournal;
  readonly lease: BridgeLease;
  /** Makes the random id of an entry. */
  readonly newId: () => string;
  /**
   * Publishes on a channel that this pod's subscription hears. Resolves to how many subscriptions hear it, `undefined` where
   * that is not known.
   */
  readonly publishCanary: (text: string) => Promise<number | undefined>;
  /** The same on a connection of its own, whatever has happened to the others. */
  readonly publishObjection: (text: string) => Promise<unknown>;
  /**
   * How much later than one published after it a message may be heard: 0 where one server sends both, more on a cluster,
   * whose nodes forward to each other.
   */
  readonly spreadMs: number;
  /** Makes a new subscription in place of this one. */
  readonly renewSubscription: () => void;
  /** Called when this pod holds the lease and appends from now on. */
  readonly onHolding?: () => void;
  /** Called with every batch that this pod has appended to the journal. */
  readonly onAppended: (messages: readonly QueuedMessage[]) => void;
  /** Called when the lease could be asked for again, and with what Redis says when it could not be for as long as it lasts. */
  readonly onLease?: LeaseTermOptions['onLease'];
  /** Called when messages are dropped: how many, and why. */
  readonly onDropped: (count: number, why: 'full' | 'expired') => void;
  readonly log: Logger;
}

const TICK_MS = 500;
/** By then what Redis has appended at the last moment has been read. */
const READ_MS = 1000;
/** A message that waits so long, while later ones are in the journal already, was not heard by the holder. */
const PASSED_OVER_MS = 3000;
/** The same while nothing later is there: longer, since a holder may just be slow. */
const FORGOTTEN_MS = 8000;
/** How much later than its entry a message may arrive right after this pod has subscribed. */
const ON_ITS_WAY_MS = 1000;
/** How long other pods have to object to what this one is about to append, where one server sends to them all. */
const OBJECTION_MS = 500;
/** Published on the channel of the canaries when the lease is free; has a letter that no canary has. */
const RELEASED = 'released!';

/**
 * Carries messages from Pub/Sub into the journal.
 *
 * Every pod hears every message, but only the holder of the lease appends. The others keep what they hear until they see
 * it in the journal; whoever takes the lease over reads the journal to its end and appends what is left, in order. A
 * holder that lost the lease without knowing is refused by the append itself (a fencing token), so nothing is appended
 * twice.
 */
export class Bridge {
  readonly #options: BridgeOptions;
  readonly #queue: BridgeQueue;
  readonly #pump: BridgePump;
  readonly #precedence: Precedence;
  readonly #canaries: Canaries;
  readonly #term: LeaseTerm;
  readonly #says: BridgeLog;
  #token: string | undefined;
  /** The lease is held and the journal was read to its end since: what waits in the queue may be appended. */
  #holding = false;
  /** Nothing that was published before the lease was taken is left to another pod to append. */
  #isClean = false;
  #otherHolds = false;
  #wasLeftOut = false;
  #upSinceMs: number | undefined;
  /** {@link Bridge.#upSinceMs} of the alignment that is under way. */
  #aligning: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #stopped = false;

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#queue = new BridgeQueue(options.newId);
    this.#term = new LeaseTerm(options);
    this.#says = new BridgeLog(this.#queue, options.log);
    this.#pump = new BridgePump({
      queue: this.#queue,
      journal: options.journal,
      token: () => this.token,
      onAppended: options.onAppended,
      onFenced: (token) => {
        if (this.#token === token) this.#lost('the lease went to another pod');
      },
      onStuck: (reason) => this.#says.stuck(reason),
    });
    this.#precedence = new Precedence({
      queue: this.#queue,
      ask: options.publishCanary,
      object: options.publishObjection,
      patienceMs: Math.max(OBJECTION_MS, options.spreadMs),
      log: options.log,
    });
    // An entry seen before a canary was sent that has no message when it is heard is one of a message that was published
    // while this pod did not listen.
    this.#canaries = new Canaries(options.publishCanary, (sentAtMs) =>
      this.#queue.forgetSeen(sentAtMs - options.spreadMs),
    );
  }

  /** Whether this pod holds the lease and appends. */
  get holding(): boolean {
    return this.#holding;
  }

  /** The token of the lease while this pod holds it and appends. */
  get token(): string | undefined {
    return this.#holding ? this.#token : undefined;
  }

  /** Whether this pod reports what it hears: as the holder, or while it knows of no other holder. */
  get speaks(): boolean {
    return this.#holding || !this.#otherHolds;
  }

  /** Messages heard and not yet known to be in the journal. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Starts to ask for the lease. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#giveUp();
      this.#endLease();
      this.#tick();
    }, TICK_MS);
  }

  /** Notes whether the subscription and the reader are up; only then may this pod hold the lease. */
  setLink(up: boolean): void {
    if (!up) {
      this.#upSinceMs = undefined;
      this.#precedence.unlinked();
      this.#term.unlinked();
      void this.#resign('the link to Redis is lost');
      return;
    }
    if (this.#upSinceMs === undefined) {
      this.#upSinceMs = performance.now();
      this.#alignWhileUp();
    }
    this.#tick();
  }

  /** Notes that this pod did not get to see some entries. */
  skipped(): void {
    // Only this pod appends: what waits here is not in the journal.
    if (this.#holding) return;
    // Whoever holds the lease knows what is missing; this pod no longer does, as if it had subscribed just now.
    this.#queue.forgetHeard();
    this.#precedence.subscribed(performance.now());
    this.#alignWhileUp();
  }

  /** Notes that there is a new subscription: of what was published before it, only what is on its way here will be heard. */
  resubscribed(): void {
    const nowMs = performance.now();
    this.#precedence.subscribed(nowMs);
    this.#queue.forgetSeen(nowMs - ON_ITS_WAY_MS);
  }

  /** Takes a valid message from Pub/Sub. */
  heard(message: FeedMessage): void {
    const dropped = this.#queue.heard(message, performance.now());
    if (dropped > 0) this.#options.onDropped(dropped, 'full');
    void this.#pump.run();
  }

  /**
   * Takes an entry of the journal that some bridge has appended.
   *
   * @returns when this pod heard its message, on the clock of `performance.now()`; `undefined` if it has not yet
   */
  seen(entry: SeenEntry): number | undefined {
    return this.#queue.seen(entry, performance.now());
  }

  /** Takes a canary from Pub/Sub, or what pods say to each other on its channel. */
  heardCanary(text: string): void {
    if (this.#canaries.heard(text)) return;
    if (text === RELEASED) this.#tick();
    else if (!this.#stopped) this.#precedence.heard(text, performance.now());
  }

  /**
   * Hands the bridge to another pod while this one still serves clients. Where no other takes it, this one takes it
   * back: what is published while nobody bridges would be lost.
   */
  async retire(): Promise<void> {
    this.#precedence.retired(performance.now());
    await this.#ticking;
    await this.#pump.run();
    await this.#resign('draining', { isOrderly: true });
  }

  /** Appends what is left, gives the lease back. May be called twice. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopped = true;
    await this.#ticking;
    await this.#pump.run();
    await this.#resign('stopping', { isOrderly: true });
  }

  #tick(): void {
    if (this.#ticking !== undefined || this.#stopped) return;
    this.#ticking = this.#lease()
      .catch((error: unknown) => {
        this.#says.stuck(messageOf(error));
        this.#options.log.debug({ reason: messageOf(error) }, 'cannot ask for the lease; trying again');
      })
      .finally(() => {
        this.#ticking = undefined;
      });
  }

  /** Gives up what is too old, whatever the link and the lease are like (docs/ordering.md). */
  #giveUp(): void {
    const nowMs = performance.now();
    const count = this.#queue.giveUp(nowMs, READ_MS);
    if (count > 0) this.#options.onDropped(count, 'expired');
    // What this pod would have seen by now will not come out of the journal any more.
    if (this.#upSinceMs !== undefined && this.#options.journal.lag() === 0) this.#queue.expire(nowMs, READ_MS);
  }

  /** Drops a lease that could not be kept: in Redis it has expired by now. */
  #endLease(): void {
    const nowMs = performance.now();
    const reason = this.#term.overBecause(nowMs);
    if (this.#token !== undefined && reason !== undefined) this.#lost(reason);
    this.#term.report(nowMs);
  }

  async #lease(): Promise<void> {
    const nowMs = performance.now();
    const since = this.#upSinceMs;
    const held = this.#token;
    if (since === undefined) return;
    if (held === undefined && this.#precedence.standsBack(nowMs)) return;
    // Only what this pod would have seen by now can be missing.
    const isCurrent = this.#options.journal.lag() === 0;
    const isLeftOut = !this.#holding && isCurrent && this.#queue.isLeftOut(nowMs, PASSED_OVER_MS, FORGOTTEN_MS);
    // Twice in a row: after a pause of this process the timer may come before what waits on its sockets.
    const claims = isLeftOut && this.#wasLeftOut;
    this.#wasLeftOut = isLeftOut;

    const token = held ?? randomBytes(9).toString('base64url');
    const answer = await this.#term.ask({ token, mayTakeOver: this.#precedence.mayTakeOver(nowMs), claims });
    this.#precedence.answered(answer, this.#holding, nowMs);
    this.#otherHolds = answer === 'other';
    if (answer === 'other' || answer === 'wait') {
      if (this.#token !== undefined) this.#lost(answer === 'other' ? 'another pod holds it' : 'the lease had expired');
      return;
    }
    if (this.#token !== held) {
      // It was given up while Redis was asked, and its token may not be used again.
      await this.#options.lease.release(token, false);
      return;
    }
    this.#term.kept(nowMs);
    if (answer === 'yield') {
      await this.#resign('another pod has heard what this one has not');
      return;
    }
    if (answer === 'held') {
      await this.#sendCanary();
    } else if (this.#token === undefined) {
      this.#token = token;
      // Not awaited: the lease has to be kept meanwhile.
      if (this.#upSinceMs === since) void this.#takeOver(token, answer === 'handed-over');
      // What was published while it was away, others have heard.
      else await this.#resign('the link to Redis was lost meanwhile');
    } else {
      // It had expired unnoticed. An append under the old token may still be on its way: only a new token is safe.
      await this.#resign('the lease had expired');
    }
  }

  /**
   * Reads, listens and asks before it appends (docs/ordering.md).
   *
   * @param isOrderly - the holder before had nothing left to append
   */
  async #takeOver(token: string, isOrderly: boolean): Promise<void> {
    const isWanted = (): boolean => this.#token === token;
    let isFirst = false;
    this.#isClean = isOrderly;
    try {
      await this.#align(isWanted);
      isFirst = !isWanted() || isOrderly || (await this.#precedence.mayAppend());
    } catch (error) {
      this.#says.unsure(messageOf(error));
      if (isWanted()) await this.#resign('it is not known what the journal lacks');
      return;
    }
    if (!isWanted()) return;
    if (!isFirst) {
      this.#options.log.info('another pod has received messages that this one has not; it bridges first');
      await this.#resign('another pod goes first', { calls: true });
      return;
    }
    this.#holding = true;
    this.#isClean = true;
    this.#options.onHolding?.();
    this.#options.log.info({ waiting: this.#queue.length }, 'this pod bridges Pub/Sub into the journal');
    void this.#pump.run();
  }

  /** One at a time: a reader that is late may skip again and again. */
  #alignWhileUp(): void {
    const since = this.#upSinceMs;
    if (since === undefined || this.#aligning === since) return;
    this.#aligning = since;
    this.#align(() => this.#upSinceMs === since)
      .catch((error: unknown) => {
        this.#options.log.debug({ reason: messageOf(error) }, 'cannot compare what was heard with the journal');
      })
      .finally(() => (this.#aligning = undefined));
  }

  /**
   * Brings what was seen and what was heard to one point: reads the journal to its end, then waits for a canary of its
   * own.
   */
  async #align(isWanted: () => boolean): Promise<void> {
    await this.#options.journal.caughtUp(isWanted);
    if (!isWanted() || (await this.#canaries.roundTrip())) return;
    if (isWanted()) this.#options.renewSubscription();
    throw new Error('the subscription does not hear');
  }

  async #sendCanary(): Promise<void> {
    if (!this.#holding || !(await this.#canaries.send())) return;
    await this.#resign('the subscription does not hear');
    this.#options.renewSubscription();
  }

  #lost(reason: string): void {
    if (this.#holding) this.#options.log.warn({ reason }, 'this pod no longer bridges');
    this.#token = undefined;
    this.#holding = false;
    this.#canaries.forget();
  }

  /**
   * Stops appending, then gives the lease back (docs/ordering.md).
   *
   * @param options.isOrderly - the subscription is up: this pod has heard what there was to hear
   * @param options.calls - another pod is there to take the lease
   */
  async #resign(reason: string, { isOrderly = false, calls = false } = {}): Promise<void> {
    const token = this.#token;
    if (token === undefined) return;
    const isClean = isOrderly && this.#isClean && this.#queue.length === 0;
    this.#lost(reason);
    try {
      await this.#options.lease.release(token, isClean);
      // So that what is published now waits for no tick of the pod that comes next.
      if (isClean || calls) await this.#options.publishCanary(RELEASED);
    } catch (error) {
      this.#options.log.debug({ reason: messageOf(error) }, 'cannot release the lease; it expires by itself');
    }
  }
}
