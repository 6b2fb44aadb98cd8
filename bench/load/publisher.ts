import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { emptyHistogram } from './tally.js';
import { nowMicros, signalTexts } from './message.js';

const CHANNEL = 'new_signal';
/** Answers of Redis that may be outstanding; more means that Redis, and not a server, is what is measured. */
const MAX_UNANSWERED = 20_000;
/** A timer fires up to this much late: the last stretch is waited out precisely. */
const TIMER_SLACK_MS = 2;
/** Signals that are written at once, if so many are due. */
const BATCH = 500;
const PROGRESS_MICROS = 200_000;
/** The first signal is due this long after the call. */
const LEAD_MICROS = 20_000;

/** What is published, and when. */
export interface PublishPlan {
  readonly redisUrl: string;
  /** Number of the first signal. */
  readonly from: number;
  readonly signals: number;
  /** Signals a second. */
  readonly rate: number;
  /** That many signals are due at the same instant, once a second; `rate` means nothing then. */
  readonly burst?: number;
  /** Bytes of each signal's JSON; 0 for as few as it needs. */
  readonly payload: number;
  /** Symbols that the signals go round. @default 1 */
  readonly symbols?: number;
  /** Called a few times a second with the share that is published, from 0 to 1. */
  readonly onProgress?: (share: number) => void;
  /** Ends it early, with an error. */
  readonly abort?: AbortSignal;
}

/** How publishing went. */
export interface Published {
  /** When the first signal was due, in µs of the monotonic clock. */
  readonly firstDue: number;
  /** From the moment the first signal was due until Redis had the last one, in ms. */
  readonly millis: number;
  /** Processor time that this process used meanwhile, in ms. */
  readonly busyMillis: number;
  /** How late the signals were sent; part of every latency, so a bench that is late itself shows. In ms. */
  readonly lateP99: number;
  readonly lateMax: number;
}

/**
 * Publishes signals to Redis in an open loop: each at the time at which it is due, whatever became of those before. A signal
 * carries the time at which it was due and not the time at which it was sent.
 *
 * @throws Error if Redis refuses, falls {@link MAX_UNANSWERED} answers behind, or nobody is subscribed
 */
export async function publishOpenLoop(plan: PublishPlan): Promise<Published> {
  const { redisUrl, from, signals, rate, burst, payload, symbols = 1, onProgress, abort } = plan;
  const redis = new Redis(redisUrl, { lazyConnect: true, retryStrategy: null, enableOfflineQueue: false });
  const state: { failure?: Error; unanswered: number } = { unanswered: 0 };
  const fail = (error: Error): void => void (state.failure ??= error);
  const refused = (cause: Error): void => fail(new Error(`Redis failed: ${cause.message}`, { cause }));
  redis.on('error', refused);
  try {
    await redis.connect();
    const text = signalTexts(payload, symbols);
    const late = emptyHistogram();
    const cpu = process.cpuUsage();
    const firstDue = nowMicros() + LEAD_MICROS;
    const dueOf = (i: number): number =>
      firstDue + (burst === undefined ? Math.round((i * 1e6) / rate) : Math.floor(i / burst) * 1_000_000);
    let told = 0;
    for (let next = 0; next < signals;) {
      await waitUntil(dueOf(next));
      if (abort?.aborted === true) throw new Error('publishing was stopped', { cause: abort.reason });
      if (state.failure !== undefined) throw state.failure;
      if (state.unanswered > MAX_UNANSWERED) throw new Error(`Redis is ${state.unanswered} answers behind.`);
      const begin = next;
      const now = nowMicros();
      // Everything that is due goes out in one write: a burst is one instant for the server too.
      const batch = redis.pipeline();
      for (; next < signals && dueOf(next) <= now && next - begin < BATCH; next++) {
        batch.publish(CHANNEL, text(from + next, dueOf(next)));
        late.recordValue(now - dueOf(next));
      }
      const count = next - begin;
      state.unanswered += count;
      batch.exec().then((answers) => {
        state.unanswered -= count;
        for (const [error, subscribers] of answers ?? []) {
          if (error !== null) refused(error);
          else if (subscribers === 0) fail(new Error(`Nobody is subscribed to ${CHANNEL}.`));
        }
      }, refused);
      if (now - told > PROGRESS_MICROS) {
        told = now;
        onProgress?.(next / signals);
      }
    }
    while (state.unanswered > 0 && state.failure === undefined) await sleep(1);
    if (state.failure !== undefined) throw state.failure;
    onProgress?.(1);
    const { user, system } = process.cpuUsage(cpu);
    return {
      firstDue,
      millis: (nowMicros() - firstDue) / 1000,
      busyMillis: (user + system) / 1000,
      lateP99: late.getValueAtPercentile(99) / 1000,
      lateMax: late.maxValue / 1000,
    };
  } finally {
    redis.disconnect();
  }
}

const still = new Int32Array(new SharedArrayBuffer(4));

/** Waits until a time of {@link nowMicros}; returns at once if it is over. */
async function waitUntil(due: number): Promise<void> {
  const wait = (due - nowMicros()) / 1000;
  if (wait > TIMER_SLACK_MS) await sleep(wait - TIMER_SLACK_MS);
  // Answers of Redis are read, also when every signal is late.
  else await setImmediate();
  const rest = (due - nowMicros()) / 1000;
  // Sleeps, to a few dozen µs. Turning the loop until then would take a core from the server that is measured.
  if (rest > 0) Atomics.wait(still, 0, 0, rest);
}
