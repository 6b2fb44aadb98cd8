import type { Cluster, Redis } from 'ioredis';
import { messageOf } from '../errors.js';
import type { LuaScript, ScriptArgument } from '../redis/lua-script.js';
import { AppendError } from './journal.js';

/** How {@link ReplicaWait} is set up. */
export interface ReplicaWaitOptions {
  /** Connections for nothing else, that fail at once while their link is down: Redis holds each up while it waits. */
  readonly lanes: readonly (Redis | Cluster)[];
  /** Replicas that must have what a script wrote. At least 1. */
  readonly minReplicas: number;
  /** A key of the slot that the scripts write to. A hash. */
  readonly key: string;
}

/** A script under way. */
export interface WaitedAnswer {
  /** What the script answers. Rejects with an {@link AppendError}. */
  readonly answer: Promise<unknown>;
  /**
   * How many replicas have what it wrote, as soon as that is enough, or after {@link WAIT_MS}. Says nothing where the answer is
   * an error. Never rejects.
   */
  readonly replicas: Promise<number>;
}

/** Connections that {@link ReplicaWait} uses: two take turns while all is well, the third goes on while those wait in vain. */
export const WAIT_LANES = 3;
/** How long Redis waits for replicas. With {@link START_GAP_MS} it is what a request may take while they are missing. */
const WAIT_MS = 900;
/** Where all connections but one wait, the last starts no sooner after the one before: its turn comes round in time then. */
const START_GAP_MS = 400;
/** Scripts that may wait for a connection, and how long their arguments may be together, about. */
const MAX_QUEUED = 1000;
/** What has waited longer for a connection is not sent: its caller would wait longer than for a Redis that hangs. */
const MAX_QUEUED_MS = 2000;
const MAX_QUEUED_LENGTH = 32 * 1024 * 1024;

interface Waiting {
  readonly script: LuaScript;
  readonly keys: readonly string[];
  readonly args: readonly ScriptArgument[];
  readonly length: number;
  readonly queuedAtMs: number;
  /** Redis does not know the script by its hash. */
  isWhole: boolean;
  /** It was sent to a node that no longer has the slot. */
  wasMoved: boolean;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: AppendError) => void;
  readonly settle: (replicas: number) => void;
}

function nothing(): void {}

/** Whether a script that has not run is sent again: each reason counts once. */
function isSentAgain(one: Waiting, error: Error): boolean {
  if (error.message.startsWith('NOSCRIPT') && !one.isWhole) {
    one.isWhole = true;
    return true;
  }
  if (error.message.startsWith('MOVED') && !one.wasMoved) {
    one.wasMoved = true;
    return true;
  }
  return false;
}

/**
 * Runs scripts and says how many replicas have what they wrote.
 *
 * `WAIT` covers what the same connection has written, and holds that connection up. So a script and the `WAIT` behind it
 * share a connection (docs/ordering.md), one `WAIT` is for all scripts that came while the connection was held up, and there
 * are a few connections, so that a replica that is missing does not let requests wait for one another.
 */
export class ReplicaWait {
  /** Replicas that must have what a script wrote. */
  readonly minReplicas: number;
  readonly #key: string;
  readonly #lanes: readonly (Redis | Cluster)[];
  readonly #busy = new Set<Redis | Cluster>();
  #queue: Waiting[] = [];
  #queuedLength = 0;
  #startedAtMs = -Infinity;
  /** Whether a later start is due. */
  #isLater = false;

  constructor({ lanes, minReplicas, key }: ReplicaWaitOptions) {
    this.#lanes = lanes;
    this.minReplicas = minReplicas;
    this.#key = key;
  }

  /** Runs a script. It MUST write where its caller wants to know about replicas: `WAIT` says nothing about what only reads. */
  run(script: LuaScript, keys: readonly string[], args: readonly ScriptArgument[]): WaitedAnswer {
    const length = args.reduce<number>((sum, arg) => sum + (typeof arg === 'number' ? 8 : arg.length), 0);
    let settle: (replicas: number) => void = nothing;
    const replicas = new Promise<number>((resolve) => {
      settle = resolve;
    });
    const answer = new Promise<unknown>((resolve, reject) => {
      const isFull =
        this.#queue.length >= MAX_QUEUED || (this.#queuedLength > 0 && this.#queuedLength + length > MAX_QUEUED_LENGTH);
      if (isFull) {
        reject(new AppendError('too many messages wait for replicas'));
        return;
      }
      this.#queuedLength += length;
      const queuedAtMs = performance.now();
      const state = { isWhole: false, wasMoved: false };
      this.#queue.push({ script, keys, args, length, queuedAtMs, ...state, resolve, reject, settle });
    });
    this.#startRounds();
    return { answer, replicas };
  }

  /** How many replicas answer now, up to as many as are needed. Rejects with what the connection says. */
  async answering(): Promise<number> {
    const lane = this.#lanes.find((one) => one.status === 'ready' && !this.#busy.has(one));
    if (lane === undefined) throw new Error('no connection is free');
    this.#busy.add(lane);
    try {
      // WAIT has no key: the command behind it is what brings both to the right node of a cluster.
      const results = await lane.pipeline().wait(this.minReplicas, WAIT_MS).hget(this.#key, 'seq').exec();
      const [error, count] = results?.[0] ?? [];
      if (error) throw error;
      return Number(count);
    } finally {
      this.#busy.delete(lane);
      this.#startRounds();
    }
  }

  #startRounds(): void {
    while (this.#queue.length > 0) {
      const ready = this.#lanes.filter(({ status }) => status === 'ready');
      if (ready.length === 0) {
        // As on any connection without a queue: nothing is sent later.
        for (const { reject } of this.#take()) reject(new AppendError('the connection is down'));
        return;
      }
      const free = ready.filter((lane) => !this.#busy.has(lane));
      const [lane] = free;
      if (lane === undefined) return;
      const gapMs = free.length > 1 ? 0 : this.#startedAtMs + START_GAP_MS - performance.now();
      if (gapMs > 0 && this.#busy.size > 0) {
        if (!this.#isLater) setTimeout(() => this.#startLater(), gapMs);
        this.#isLater = true;
        return;
      }
      const nowMs = performance.now();
      const batch: Waiting[] = [];
      for (const one of this.#take()) {
        if (nowMs - one.queuedAtMs < MAX_QUEUED_MS) batch.push(one);
        else one.reject(new AppendError('no connection was free in time'));
      }
      if (batch.length === 0) return;
      this.#startedAtMs = nowMs;
      this.#busy.add(lane);
      void this.#round(lane, batch).finally(() => {
        this.#busy.delete(lane);
        this.#startRounds();
      });
    }
  }

  #startLater(): void {
    this.#isLater = false;
    this.#startRounds();
  }

  #take(): Waiting[] {
    const taken = this.#queue;
    this.#queue = [];
    this.#queuedLength = 0;
    return taken;
  }

  /** Sends scripts, and a `WAIT` behind them. */
  async #round(lane: Redis | Cluster, batch: readonly Waiting[]): Promise<void> {
    const pipeline = lane.pipeline();
    const again: Waiting[] = [];
    for (const one of batch) {
      const { script, keys, args, resolve, reject } = one;
      const done = (error: Error | null | undefined, answer: unknown): void => {
        if (!error) resolve(answer);
        else if (isSentAgain(one, error)) again.push(one);
        else reject(new AppendError(messageOf(error), { cause: error }));
      };
      if (one.isWhole) pipeline.eval(script.source, keys.length, ...keys, ...args, done);
      else pipeline.evalsha(script.sha, keys.length, ...keys, ...args, done);
    }
    pipeline.wait(this.minReplicas, WAIT_MS);
    const results = await pipeline.exec().catch((error: unknown) => {
      for (const { reject } of batch) reject(new AppendError(messageOf(error), { cause: error }));
    });
    const [error, count] = results?.at(-1) ?? [];
    for (const one of batch) if (!again.includes(one)) one.settle(error ? 0 : Number(count ?? 0));
    if (again.length === 0) return;
    // A pipeline is not redirected; a single command is, and ioredis learns where the slot is.
    if (again.some(({ wasMoved }) => wasMoved)) await lane.hget(this.#key, 'seq').catch(() => {});
    for (const { length } of again) this.#queuedLength += length;
    this.#queue.unshift(...again);
  }
}
