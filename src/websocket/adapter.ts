import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import { messageOf } from '../errors.js';
import { openEar } from './ear-adapter.js';
import { type FormerPods, isMarked } from './former-pods.js';

/** Makes the Socket.IO adapter of a namespace. */
export type AdapterFactory = (namespace: Namespace) => Adapter;

type Connection = Redis | Cluster;

const LOG_EVERY_MS = 10_000;

/**
 * The connection as the Redis adapter gets it for publishing.
 *
 * The adapter drops the promises of its publishes: with Redis away each would become an unhandled rejection. Here a
 * failed publish counts as received by no pod and is logged, at a limited rate.
 */
class AdapterPublisher {
  readonly isCluster: boolean;
  readonly #connection: Connection;
  readonly #options: RedisAdapterOptions;
  #nextLogMs = 0;

  constructor(options: RedisAdapterOptions) {
    this.#connection = options.publish;
    this.isCluster = options.isCluster;
    this.#options = options;
  }

  publish(channel: string, message: string | Buffer): Promise<number> {
    const { former, key } = this.#options;
    former?.copy(key, channel, message);
    return this.#guard(this.#connection.publish(channel, message));
  }

  spublish(channel: string, message: string | Buffer): Promise<number> {
    return this.#guard(this.#connection.spublish(channel, message) as Promise<number>);
  }

  /** The adapter's name for what ioredis calls `call`. */
  send_command(
    command: string,
    args: string[],
    done?: (error: Error | null, result?: unknown) => void,
  ): Promise<unknown> {
    const result = (this.#connection as Redis).call(command, args);
    if (done !== undefined) {
      result.then(
        (value) => done(null, value),
        (error: unknown) => done(error as Error),
      );
    }
    return result;
  }

  nodes(): Redis[] {
    return (this.#connection as Cluster).nodes();
  }

  on(event: string, listener: (...args: unknown[]) => void): void {
    this.#connection.on(event as 'error', listener);
  }

  off(event: string, listener: (...args: unknown[]) => void): void {
    this.#connection.off(event, listener);
  }

  async #guard(result: Promise<number>): Promise<number> {
    try {
      return await result;
    } catch (error) {
      const now = Date.now();
      if (now >= this.#nextLogMs) {
        this.#nextLogMs = now + LOG_EVERY_MS;
        this.#options.log.warn({ reason: messageOf(error) }, 'a broadcast could not be shared with the other pods');
      }
      return 0;
    }
  }
}

type MessageListener = (...args: unknown[]) => void;

/**
 * The connection as the Redis adapter gets it for subscribing: what a listener of the adapter throws about a message that
 * cannot be read is logged, at a limited rate, and ends no process. Whoever may publish in this Redis can send it anything.
 *
 * @param isLeftOut - whether a message is not for the adapter
 */
function guardedSubscriber<C extends Connection>(
  connection: C,
  log: Logger,
  isLeftOut: (channel: string, message: Buffer) => boolean = () => false,
): C {
  const guards = new WeakMap<MessageListener, MessageListener>();
  let nextLogMs = 0;
  const guard = (listener: MessageListener): MessageListener => {
    const known = guards.get(listener);
    if (known !== undefined) return known;
    const guarded: MessageListener = (...args) => {
      try {
        const [channel, message] = args.slice(-2);
        if (Buffer.isBuffer(message) && isLeftOut(String(channel), message)) return;
        listener(...args);
      } catch (error) {
        const now = Date.now();
        if (now < nextLogMs) return;
        nextLogMs = now + LOG_EVERY_MS;
        log.warn({ reason: messageOf(error) }, 'dropped a message from another pod that cannot be read');
      }
    };
    guards.set(listener, guarded);
    return guarded;
  };
  return new Proxy(connection, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function' || name === 'constructor') return value;
      if (name !== 'on' && name !== 'off') return (value as MessageListener).bind(target);
      return (event: string, listener: MessageListener) =>
        (value as (event: string, listener: MessageListener) => unknown).call(
          target,
          event,
          /message/i.test(event) ? guard(listener) : listener,
        );
    },
  });
}

/** What the Redis adapter is made with. */
export interface RedisAdapterOptions {
  /** What the names of its channels begin with. The stock emitter takes it as `key`. */
  readonly key: string;
  /** A connection that does not queue while its link is down. */
  readonly publish: Connection;
  /** A connection of the adapter's own, which queues. */
  readonly subscribe: Connection;
  /** Whether to use sharded Pub/Sub (Redis 7). */
  readonly isCluster: boolean;
  /** On a cluster: a connection for Pub/Sub that is not sharded, which is what the stock emitter publishes with. */
  readonly emitters?: Connection;
  /** Pods of version 0.1, which have other channels. */
  readonly former?: FormerPods;
  readonly log: Logger;
}

/** What the channels of a gateway's adapter begin with: one hash slot, and nobody else's. @param prefix - `REDIS_KEY_PREFIX` */
export function adapterKey(prefix: string): string {
  return `{${prefix}}:socket.io`;
}

/**
 * The adapter that shares with other pods what is not in the journal: `io.emit` of any pod, emits of
 * `@socket.io/redis-emitter`, cluster-wide disconnects, `serverSideEmit`.
 */
export function redisAdapter(options: RedisAdapterOptions): AdapterFactory {
  const { key, subscribe, isCluster, emitters, former, log } = options;
  const publisher = new AdapterPublisher(options);
  const subscriber = guardedSubscriber(subscribe, log);
  if (isCluster) {
    // "static": one channel for all rooms. "dynamic" would subscribe in Redis for every topic that has a client.
    const sharded = createShardedAdapter(publisher, subscriber, { channelPrefix: key, subscriptionMode: 'static' });
    const ears = emitters && guardedSubscriber(emitters, log);
    // Not an arrow: Socket.IO calls it with `new`.
    return function shardedAdapter(namespace) {
      const main = sharded(namespace);
      if (ears !== undefined) openEar(namespace, main, { key, publish: publisher, subscribe: ears });
      return main;
    };
  }
  const plain = createAdapter(publisher, subscriber, { key, publishOnSpecificResponseChannel: true });
  return function plainAdapter(namespace) {
    const main = plain(namespace);
    former?.attach(namespace, main, guardedSubscriber(subscribe, log, isMarked));
    return main;
  };
}
