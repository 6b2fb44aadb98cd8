/** A session of engine.io's, as far as it matters here. */
export interface PollingSession {
  /** @param discard - do not wait for the client to ask for what is left */
  close(discard: boolean): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** How many sessions may wait, and for how long. */
export interface UnjoinedPollingOptions {
  readonly most: number;
  readonly lifeMs: number;
  /** Called before a session is ended for the others, or because its time is over. */
  readonly onEnd: (session: PollingSession) => void;
}

/** Younger sessions are kept, so that many honest clients may come at once; until there are {@link BURST} times the most. */
const YOUNG_MS = 1000;
const BURST = 4;
const CHECK_MS = 1000;

/**
 * Sessions that began on long-polling and have not joined: their client's CONNECT has not been accepted. They hold no TCP
 * connection, so a few requests make thousands of them: they are few, live for seconds, and take no client's place.
 */
export class UnjoinedPolling {
  readonly #options: UnjoinedPollingOptions;
  /** When they began, oldest first, on the clock of `performance.now()`. */
  readonly #silent = new Map<PollingSession, number>();
  /** The same, of those whose client has sent a CONNECT: it may have to wait for keys or for Redis. */
  readonly #asking = new Map<PollingSession, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UnjoinedPollingOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#silent.size + this.#asking.size;
  }

  /** Notes a session that has just begun; the oldest goes if there are too many. */
  add(session: PollingSession): void {
    const nowMs = performance.now();
    this.#silent.set(session, nowMs);
    session.once('close', () => this.leave(session));
    if (this.size > this.#options.most) this.#evict(nowMs);
    this.#timer ??= setInterval(() => this.#expire(), Math.min(CHECK_MS, this.#options.lifeMs / 4)).unref();
  }

  /** Notes that the client of a session has sent a CONNECT. */
  ask(session: PollingSession): void {
    const sinceMs = this.#silent.get(session);
    if (sinceMs === undefined) return;
    this.#silent.delete(session);
    this.#asking.set(session, sinceMs);
  }

  /** Whether a session waits. */
  has(session: PollingSession): boolean {
    return this.#silent.has(session) || this.#asking.has(session);
  }

  /** Forgets a session that has joined or is over. @returns whether it was waiting */
  leave(session: PollingSession): boolean {
    return this.#silent.delete(session) || this.#asking.delete(session);
  }

  #evict(nowMs: number): void {
    const [silent] = this.#silent;
    const [asking] = this.#asking;
    const oldest = silent ?? asking;
    if (oldest === undefined) return;
    const [session, sinceMs] = oldest;
    if (nowMs - sinceMs >= YOUNG_MS || this.size > BURST * this.#options.most) this.#end(session);
  }

  #expire(): void {
    const untilMs = performance.now() - this.#options.lifeMs;
    for (const sessions of [this.#silent, this.#asking]) {
      for (const [session, sinceMs] of sessions) {
        if (sinceMs > untilMs) break;
        this.#end(session);
      }
    }
    if (this.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #end(session: PollingSession): void {
    this.leave(session);
    this.#options.onEnd(session);
    session.close(true);
  }
}
