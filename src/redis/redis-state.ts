import type { Logger } from 'pino';
import type { RedisFault, RedisFaultCode } from './fault.js';

/**
 * What is needed of Redis, each on its own:
 * - `read`: entries of the journal come in;
 * - `heard`: the subscription hears what is published;
 * - `append`: the journal takes messages;
 * - `sources`: the source streams can be read.
 */
export type RedisAspect = 'read' | 'heard' | 'append' | 'sources';

/** An aspect that is down, and why. */
export interface LostAspect {
  readonly aspect: RedisAspect;
  readonly fault: RedisFault;
  /** Unix time in ms. */
  readonly sinceMs: number;
}

/** One change of the picture. */
export interface RedisChange {
  /** What was lost, or is back. */
  readonly aspect: RedisAspect;
  /** Whether it is that all is well: every aspect is up, and has been for as long as is asked for. */
  readonly up: boolean;
  /** What is down now; empty when `up`. */
  readonly faults: readonly LostAspect[];
}

/** How a {@link RedisState} is set up. */
export interface RedisStateOptions {
  /** What this process needs. Until each was up once, the state is not up. */
  readonly aspects: readonly RedisAspect[];
  readonly log: Logger;
  /** A clock in ms that never goes back. @default performance.now */
  readonly nowMs?: () => number;
}

interface Aspect {
  status: 'unknown' | 'up' | 'down';
  fault: RedisFault | undefined;
  sinceMs: number;
}

/** A loss so soon after all was well counts as flapping. */
const FLAPPING_MS = 30_000;
/** How long all must be well after the second loss in a row; doubled with each further one. */
const HOLD_MIN_MS = 2000;
const HOLD_MAX_MS = 15_000;
/** How long all must be well after a lost connection: a new one may come up and be refused its first command. */
const HOLD_LINK_MS = 200;
/** The same after a fault that is not of the connection: what is refused may be refused again and again. */
const HOLD_REFUSED_MS = 1000;
/** How often a cause that lasts is logged. */
const LOG_INTERVAL_MS = 60_000;

/** What does not work while an aspect is down. */
const LOST: Readonly<Record<RedisAspect, string>> = {
  read: 'cannot read the journal in Redis; trying again',
  heard: 'cannot hear what is published in Redis; trying again',
  append: 'cannot append to the journal in Redis; trying again',
  sources: 'cannot read the source streams in Redis; trying again',
};

/** Faults with which nothing works on the connection. */
const UNREACHABLE: ReadonlySet<RedisFaultCode> = new Set([
  'unreachable',
  'no_answer',
  'dns',
  'tls',
  'password',
  'no_primary',
  'max_clients',
]);

/**
 * The one picture of the link to Redis, made of aspects. Whoever finds that one is lost or back reports it here; clients,
 * `/readyz`, the log and the metrics follow from it.
 *
 * A loss shows at once. That all is well again shows after a moment, and after losses in quick succession only once all has
 * been well for some seconds, so that a Redis that works every other second does not make every client blink.
 */
export class RedisState {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  readonly #aspects: ReadonlyMap<RedisAspect, Aspect>;
  readonly #listeners = new Set<(change: RedisChange) => void>();
  /** Changes that no listener has been called for: a listener may cause the next one. */
  readonly #changes: RedisChange[] = [];
  #isTelling = false;
  /** When a cause was logged last. */
  readonly #loggedMs = new Map<RedisFaultCode, number>();
  readonly #repeatTimer: NodeJS.Timeout;
  #holdTimer: NodeJS.Timeout | undefined;
  #isUp = false;
  #upSinceMs: number | undefined;
  /** Since when it is not up, once it was, or something has failed. */
  #lostAtMs: number | undefined;
  /** Losses in quick succession before this one. */
  #strikes = 0;
  /** What went down last: the cause while it is waited whether all stays well. */
  #last: LostAspect | undefined;
  #isStopped = false;

  constructor({ aspects, log, nowMs = () => performance.now() }: RedisStateOptions) {
    this.#log = log;
    this.#nowMs = nowMs;
    this.#aspects = new Map(aspects.map((aspect) => [aspect, { status: 'unknown', fault: undefined, sinceMs: 0 }]));
    this.#repeatTimer = setInterval(() => this.#logAll(), LOG_INTERVAL_MS / 4).unref();
  }

  /** Whether all is well: every aspect is up, and has been for as long as is asked for. */
  get up(): boolean {
    return this.#isUp;
  }

  /** What is down, and why. Empty at start while nothing is known yet, and when all is well. */
  get faults(): readonly LostAspect[] {
    if (this.#isUp) return [];
    const down: LostAspect[] = [];
    for (const [aspect, { status, fault, sinceMs }] of this.#aspects)
      if (status === 'down' && fault !== undefined) down.push({ aspect, fault, sinceMs });
    return down.length > 0 || this.#holdTimer === undefined || this.#last === undefined ? down : [this.#last];
  }

  /** Whether an aspect is up right now. */
  has(aspect: RedisAspect): boolean {
    return this.#aspects.get(aspect)?.status === 'up';
  }

  /** Why messages cannot be appended, if it is known. */
  get appendFault(): RedisFault | undefined {
    const { faults } = this;
    return (faults.find(({ aspect }) => aspect === 'append') ?? faults[0])?.fault;
  }

  /** Calls back for every change, one at a time. A listener MUST NOT throw. */
  onChange(listener: (change: RedisChange) => void): void {
    this.#listeners.add(listener);
  }

  /** Notes that an aspect is down. May be called again and again; only a new code is news. */
  lost(aspect: RedisAspect, fault: RedisFault): void {
    const known = this.#aspects.get(aspect);
    if (known === undefined || this.#isStopped) return;
    if (known.status === 'down' && known.fault?.code === fault.code) {
      known.fault = fault;
      return;
    }
    if (known.status !== 'down') known.sinceMs = Date.now();
    known.status = 'down';
    known.fault = fault;
    this.#last = { aspect, fault, sinceMs: known.sinceMs };
    this.#noteLoss();
    this.#logFault(this.#last);
    this.#changed(aspect);
  }

  /** Notes that an aspect is up. May be called again and again. */
  back(aspect: RedisAspect): void {
    const known = this.#aspects.get(aspect);
    if (known === undefined || known.status === 'up' || this.#isStopped) return;
    known.status = 'up';
    known.fault = undefined;
    if ([...this.#aspects.values()].every(({ status }) => status === 'up')) this.#allWell(aspect);
    this.#changed(aspect);
  }

  /** Notes nothing more. May be called twice. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#repeatTimer);
    clearTimeout(this.#holdTimer);
  }

  #noteLoss(): void {
    const nowMs = this.#nowMs();
    clearTimeout(this.#holdTimer);
    this.#holdTimer = undefined;
    if (this.#isUp) {
      const isFlapping = this.#lostAtMs !== undefined && nowMs - (this.#upSinceMs ?? nowMs) < FLAPPING_MS;
      this.#strikes = isFlapping ? this.#strikes + 1 : 0;
      this.#lostAtMs = nowMs;
    }
    this.#lostAtMs ??= nowMs;
    this.#isUp = false;
  }

  /** Every aspect is up. */
  #allWell(aspect: RedisAspect): void {
    if (this.#lostAtMs === undefined) {
      this.#settle();
      return;
    }
    const wasRefused = [...this.#loggedMs.keys()].some((code) => !UNREACHABLE.has(code) && code !== 'loading');
    const flapMs = this.#strikes === 0 ? 0 : Math.min(HOLD_MAX_MS, HOLD_MIN_MS * 2 ** (this.#strikes - 1));
    const holdMs = Math.max(flapMs, wasRefused ? HOLD_REFUSED_MS : HOLD_LINK_MS);
    this.#holdTimer = setTimeout(() => {
      this.#settle();
      this.#changed(aspect);
    }, holdMs).unref();
  }

  #settle(): void {
    const nowMs = this.#nowMs();
    this.#holdTimer = undefined;
    this.#isUp = true;
    this.#upSinceMs = nowMs;
    this.#loggedMs.clear();
    if (this.#lostAtMs === undefined || this.#last === undefined) return;
    const { aspect, fault } = this.#last;
    const seconds = Math.round((nowMs - this.#lostAtMs) / 100) / 10;
    this.#log.info({ aspect, cause: fault.code, seconds }, 'Redis is back: the journal can be read and appended to');
  }

  #changed(aspect: RedisAspect): void {
    this.#changes.push({ aspect, up: this.#isUp, faults: this.faults });
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      for (let change = this.#changes.shift(); change !== undefined; change = this.#changes.shift())
        for (const listener of this.#listeners) listener(change);
    } finally {
      this.#isTelling = false;
    }
  }

  #logAll(): void {
    for (const lost of this.faults) this.#logFault(lost);
  }

  /** Once, and again while it lasts. Several aspects that are lost for one cause make one line. */
  #logFault({ aspect, fault, sinceMs }: LostAspect): void {
    const nowMs = this.#nowMs();
    const loggedMs = this.#loggedMs.get(fault.code);
    if (loggedMs !== undefined && nowMs - loggedMs < LOG_INTERVAL_MS) return;
    this.#loggedMs.set(fault.code, nowMs);
    const { code: cause, reason, advice } = fault;
    const seconds = Math.round((Date.now() - sinceMs) / 1000);
    const message = UNREACHABLE.has(cause) ? 'cannot reach Redis; trying again' : LOST[aspect];
    this.#log.warn({ aspect, cause, reason, advice, ...(seconds > 0 && { seconds }) }, message);
  }
}
