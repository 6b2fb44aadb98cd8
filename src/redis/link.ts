import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import { withTimeout } from '../deadline.js';
import { messageOf } from '../errors.js';

/** What a link needs, and its callbacks. */
export interface LinkOptions<C extends Redis | Cluster> {
  /** What the link is for, in the log. */
  readonly purpose: string;
  /** Makes a fresh connection that does not connect or reconnect by itself. */
  readonly connect: () => C;
  /**
   * Uses the connection. Calls `up` once the session is up; the link is lost when the promise settles, or when the
   * connection ends.
   */
  readonly session: (connection: C, up: () => void) => Promise<unknown>;
  /** Called when the link is up, and when it is lost or could not be made: then with the reason. */
  readonly onLink: (up: boolean, error?: unknown) => void;
  /** Finds out why a connection could not be made, where its error does not say so. MUST NOT reject. */
  readonly explain?: (error: unknown) => Promise<unknown>;
  readonly log: Logger;
}

/** An attempt that is not connected by then is abandoned: the server may hang, and have a successor by now. */
const CONNECT_LIMIT_MS = 5000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2000;

/**
 * Keeps one session with Redis alive on a connection of its own: a fresh connection for every attempt, with back-off and
 * jitter between attempts. A connection that ioredis revives by itself cannot tell when its session is up again.
 */
export class RedisLink<C extends Redis | Cluster> {
  readonly #options: LinkOptions<C>;
  readonly #stop = new AbortController();
  /** Settles when the link is stopped. */
  readonly #stopped = once(this.#stop.signal, 'abort').then(() => undefined);
  #running: Promise<void> | undefined;
  #current: C | undefined;

  constructor(options: LinkOptions<C>) {
    this.#options = options;
  }

  /** Starts; returns at once and keeps trying until {@link stop}. May be called twice. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Breaks the connection, so that a new session begins, on a cluster perhaps with another node. */
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
          if (failures > 0) log.debug({ purpose }, 'this link to Redis is up again');
          failures = 0;
          onLink(true);
        });
        throw new Error('the connection was closed');
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        onLink(false, error instanceof ConnectFault ? error.cause : error);
        // Whoever gets `onLink` says it at a level that people read.
        log.debug({ purpose, reason: messageOf(error) }, 'this link to Redis failed; retrying');
      }
      const delayMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
      await sleep(delayMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
    }
  }

  async #once(up: () => void): Promise<void> {
    const connection = this.#options.connect();
    this.#current = connection;
    // ioredis gives the reason of a failed connect() in this event only; without a listener it would print it.
    let reason: Error | undefined;
    connection.on('error', (error: Error) => {
      reason = error;
    });
    try {
      const ended = new Promise<void>((resolve) => {
        connection.once('end', resolve);
      });
      await this.#connected(connection, () => reason);
      await Promise.race([ended, this.#options.session(connection, up)]);
      if (reason !== undefined) throw reason;
    } catch (error) {
      throw error instanceof ConnectFault ? error : (reason ?? error);
    } finally {
      connection.disconnect();
    }
  }

  /** Connects; a failure is explained before it is reported, unless the link is stopped meanwhile. */
  async #connected(connection: C, reason: () => unknown): Promise<void> {
    try {
      await withTimeout(CONNECT_LIMIT_MS, 'connecting', connection.connect());
    } catch (error) {
      const { signal } = this.#stop;
      const said = reason() ?? error;
      if (this.#options.explain === undefined || signal.aborted) throw said;
      // What is left of the connection would hold the reason back no longer than this.
      connection.disconnect();
      const explained = await Promise.race([this.#options.explain(said), this.#stopped]);
      throw new ConnectFault(explained ?? said);
    }
  }
}

/** A connection could not be made, for the reason in `cause`. */
class ConnectFault extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}
