import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { messageOf } from '../errors.js';

/** What a link needs and whom it tells. */
export interface LinkOptions<C extends Redis | Cluster> {
  /** What the link is for, in the log. */
  readonly purpose: string;
  /** Makes a fresh connection that does not connect or reconnect by itself. */
  readonly connect: () => C;
  /**
   * Uses the connection. Calls `up` once it is in force; the link is lost when the promise ends, however it ends, or
   * when the connection does.
   */
  readonly session: (connection: C, up: () => void) => Promise<unknown>;
  /** Told when the link is in force, and when it is lost or could not be made. */
  readonly onLink: (up: boolean) => void;
  readonly log: Logger;
}

/** A try that is not connected by then is given up: the server may hang, and have a successor by now. */
const CONNECT_LIMIT_MS = 5000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2000;
const LOG_EVERY_MS = 10_000;

/**
 * Keeps one session with Redis alive on a connection of its own: a fresh connection for every try, with back-off and
 * jitter between them. A connection that ioredis would revive by itself can not tell when it is in force again.
 */
export class RedisLink<C extends Redis | Cluster> {
  readonly #options: LinkOptions<C>;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #current: C | undefined;
  #lastLog = 0;

  constructor(options: LinkOptions<C>) {
    this.#options = options;
  }

  /** Starts; returns at once and goes on trying until {@link stop}. May be called twice. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Breaks the connection, so that the session is made anew, on a cluster perhaps with another node. */
  renew(): void {
    this.#current?.disconnect();
  }

  /** Ends the link. May be called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#current?.disconnect();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { purpose, log, onLink } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#once(() => {
          if (failures > 0) log.info({ purpose }, 'Redis is reachable again');
          failures = 0;
          this.#lastLog = 0;
          onLink(true);
        });
        throw new Error('the connection was closed');
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        onLink(false);
        this.#report(error);
      }
      const delay = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
      await sleep(delay * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
    }
  }

  async #once(up: () => void): Promise<void> {
    const connection = this.#options.connect();
    this.#current = connection;
    // ioredis tells the reason of a failed connect() in this event only; without a listener it would print it.
    let reason: Error | undefined;
    connection.on('error', (error: Error) => {
      reason = error;
    });
    try {
      const ended = new Promise<void>((resolve) => {
        connection.once('end', resolve);
      });
      await withTimeout(CONNECT_LIMIT_MS, 'connecting', connection.connect());
      await Promise.race([ended, this.#options.session(connection, up)]);
      if (reason !== undefined) throw reason;
    } catch (error) {
      throw reason ?? error;
    } finally {
      connection.disconnect();
    }
  }

  #report(error: unknown): void {
    const now = Date.now();
    if (now - this.#lastLog < LOG_EVERY_MS) return;
    this.#lastLog = now;
    const { purpose, log } = this.#options;
    log.error({ purpose, reason: messageOf(error) }, 'Redis can not be reached; trying again until it can');
  }
}
