import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';

/** What the subscriber needs and whom it tells. */
export interface SubscriberOptions {
  /** Makes a fresh connection that does not connect or reconnect by itself (`lazyConnect`, no `retryStrategy`). */
  readonly connect: () => Redis;
  readonly channels: readonly string[];
  /** Gets every message, in the order of the link. MUST NOT throw. */
  readonly onMessage: (channel: string, bytes: Buffer) => void;
  /** Told when the subscription is in force, and when it is lost or could not be made. */
  readonly onLink: (up: boolean) => void;
  readonly log: Logger;
}

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2000;
/** A link that is silently dead (a cut cable, a stopped process) is noticed within two intervals. */
const PING_INTERVAL_MS = 2000;
/** A try that is not subscribed by then is given up: the server may hang, and have a successor by now. */
const SUBSCRIBE_LIMIT_MS = 5000;
const LOG_EVERY_MS = 10_000;

async function within(limit: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not subscribed within ${limit} ms`)), limit);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Keeps one Pub/Sub subscription alive on a connection of its own.
 *
 * A fresh connection is made for every try, and the link counts as up only once Redis has confirmed every channel, so
 * "ready" is never said of a connection that does not hear yet.
 */
export class RedisSubscriber {
  readonly #options: SubscriberOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #current: Redis | undefined;
  #lastLog = 0;

  constructor(options: SubscriberOptions) {
    this.#options = options;
  }

  /** Starts to subscribe; returns at once, goes on trying until {@link stop}. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the subscription. May be called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#current?.disconnect();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      const redis = this.#options.connect();
      this.#current = redis;
      try {
        const ended = new Promise<void>((resolve) => redis.once('end', resolve));
        // ioredis reports the reason of a failed connect() here too; without a listener it would be printed.
        let reason = 'the connection was closed';
        redis.on('error', (error: Error) => (reason = messageOf(error)));
        redis.on('messageBuffer', (channel: Buffer, message: Buffer) => {
          this.#options.onMessage(channel.toString(), message);
        });
        await within(SUBSCRIBE_LIMIT_MS, this.#subscribe(redis)).catch((error: unknown) => {
          throw new Error(reason === 'the connection was closed' ? messageOf(error) : reason, { cause: error });
        });
        if (failures > 0) this.#options.log.info('Redis is reachable again, subscribed');
        failures = 0;
        this.#lastLog = 0;
        this.#options.onLink(true);
        await this.#watch(redis, ended);
        throw new Error(reason);
      } catch (error) {
        // A server that hung may wake up before the connection is closed; what it says then, the next one hears too.
        redis.removeAllListeners('messageBuffer');
        redis.disconnect();
        if (signal.aborted) return;
        failures++;
        this.#options.onLink(false);
        this.#report(error);
      }
      const delay = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
      await sleep(delay * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
    }
  }

  async #subscribe(redis: Redis): Promise<void> {
    await redis.connect();
    await redis.subscribe(...this.#options.channels);
  }

  /** Resolves when the link is closed, throws when Redis does not answer any more. */
  async #watch(redis: Redis, ended: Promise<void>): Promise<void> {
    let answered = true;
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        // After a pause of this process an answer may be waiting to be read: look after the next turn of the loop.
        setImmediate(() => {
          if (!answered) reject(new Error(`no answer to a ping within ${PING_INTERVAL_MS} ms`));
          answered = false;
          redis.ping().then(
            () => {
              answered = true;
            },
            () => {},
          );
        });
      }, PING_INTERVAL_MS);
    });
    try {
      await Promise.race([ended, silence]);
    } finally {
      clearInterval(timer);
    }
  }

  #report(error: unknown): void {
    const now = Date.now();
    if (now - this.#lastLog < LOG_EVERY_MS) return;
    this.#lastLog = now;
    this.#options.log.error({ reason: messageOf(error) }, 'Redis can not be reached; trying again until it can');
  }
}
