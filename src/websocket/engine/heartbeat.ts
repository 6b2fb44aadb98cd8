/** A connection as the heartbeat sees it. The fields belong to the {@link Heartbeat}; others write them only as described here. */
export interface HeartbeatMember {
  /** Group of connections that are pinged together. */
  bucket: number;
  /** Place in the group. */
  slot: number;
  /** When it was pinged, in ticks; the connection MUST set it to 0 when the answer comes. */
  pingedTick: number;
  /** When anything else came after the ping, in ticks; the connection sets it, once per ping, to {@link Heartbeat.nowTick}. */
  heardTick: number;
  /** Sends a ping. */
  ping(): void;
  /** Closes the connection, which has been silent for too long; MUST take it out of the heartbeat. */
  timeOut(): void;
}

/** Groups that the connections are spread over, so that the pings of a pod are spread over the interval. */
const BUCKETS = 64;

/** Shortest tick in milliseconds. */
const MIN_TICK_MS = 10;

/**
 * Engine.IO's heartbeat for all connections with one timer: each is pinged every `pingIntervalMs` and given up when
 * nothing has come from it for `pingTimeoutMs` after that (Engine.IO protocol v4, "Heartbeat").
 *
 * Time is counted in turns of the timer. If the process was paused, the clock was too: answers that have arrived in the
 * meantime are read before anybody is given up.
 */
export class Heartbeat {
  readonly #buckets: HeartbeatMember[][];
  /** Connections that sent something after their ping, by the tick at which they are checked again. */
  readonly #late = new Map<number, HeartbeatMember[]>();
  readonly #timeoutTicks: number;
  readonly #onFault: (connection: HeartbeatMember, error: unknown) => void;
  readonly #tickMs: number;
  // 0 stands for "not pinged".
  #now = 1;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param pingIntervalMs - time between two pings of a connection; the first comes up to a 64th earlier
   * @param pingTimeoutMs - how long an answer may take
   * @param onFault - called with what a connection has thrown; the others get their turn
   */
  constructor(
    pingIntervalMs: number,
    pingTimeoutMs: number,
    onFault: (connection: HeartbeatMember, error: unknown) => void = (_, error) => {
      throw error;
    },
  ) {
    this.#onFault = onFault;
    const count = Math.min(BUCKETS, Math.max(1, Math.floor(pingIntervalMs / MIN_TICK_MS)));
    this.#buckets = Array.from({ length: count }, () => []);
    this.#tickMs = pingIntervalMs / count;
    this.#timeoutTicks = Math.ceil(pingTimeoutMs / this.#tickMs);
  }

  /** The clock, in ticks. */
  get nowTick(): number {
    return this.#now;
  }

  /** Begins to ping a connection. */
  add(connection: HeartbeatMember): void {
    // The bucket that was pinged last: its next turn is one interval away.
    connection.bucket = this.#now % this.#buckets.length;
    const bucket = this.#at(connection.bucket);
    connection.slot = bucket.length;
    bucket.push(connection);
    this.#timer ??= setInterval(() => this.#advance(), this.#tickMs).unref();
  }

  /** Forgets a connection that was added. */
  remove(connection: HeartbeatMember): void {
    const bucket = this.#at(connection.bucket);
    const last = bucket.pop();
    if (last === undefined || last === connection) return;
    // The last one takes its place.
    bucket[connection.slot] = last;
    last.slot = connection.slot;
  }

  /** Every connection there is. */
  all(): HeartbeatMember[] {
    return this.#buckets.flat();
  }

  /** Stops the timer; it starts again with the next connection that is added. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #at(bucket: number): HeartbeatMember[] {
    return this.#buckets[bucket] ?? [];
  }

  #advance(): void {
    const now = ++this.#now;
    const count = this.#buckets.length;
    const late = this.#late.get(now) ?? [];
    this.#late.delete(now);
    for (const connection of late) this.#check(connection);
    const pingedThen = now - this.#timeoutTicks;
    // A copy: connections leave while it is gone through.
    for (const connection of this.#at(((pingedThen % count) + count) % count).slice()) this.#check(connection);
    // A copy here too: a ping that fails ends its connection.
    for (const connection of this.#at(now % count).slice()) {
      // Like Engine.IO, no second ping before the first is answered.
      if (connection.pingedTick !== 0) continue;
      connection.pingedTick = now;
      connection.heardTick = 0;
      this.#guard(connection, () => connection.ping());
    }
  }

  #guard(connection: HeartbeatMember, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onFault(connection, error);
    }
  }

  #check(connection: HeartbeatMember): void {
    if (connection.pingedTick === 0) return;
    // As in Engine.IO, another packet extends the wait once.
    const deadline = Math.max(connection.pingedTick, connection.heardTick) + this.#timeoutTicks;
    if (deadline <= this.#now) {
      this.#guard(connection, () => connection.timeOut());
    } else if (connection.heardTick !== 0) {
      const list = this.#late.get(deadline);
      if (list === undefined) this.#late.set(deadline, [connection]);
      else list.push(connection);
    }
  }
}
