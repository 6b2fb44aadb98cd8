import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import type { EventEmitter } from 'node:events';
import type { Cluster, Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import { messageOf } from '../errors.js';
import { type HandedOn, openEar } from './ear-adapter.js';
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

/** How an adapter's subscriptions are changed. */
interface SubscriberGuard {
  readonly log: Logger;
  /** Whether a message is not for the adapter. */
  readonly isLeftOut?: (channel: string, message: Buffer) => boolean;
  /** Subscribed to in place of the adapter's own pattern, which it contains. */
  readonly pattern?: string;
}

/**
 * The connection as the Redis adapter gets it for subscribing: what a listener of the adapter throws about a message that
 * cannot be read is logged, at a limited rate, and ends no process. Whoever may publish in this Redis can send it anything.
 */
function guardedSubscriber<C extends EventEmitter>(connection: C, guard: SubscriberGuard): C {
  const { log, isLeftOut = () => false, pattern } = guard;
  const guards = new WeakMap<MessageListener, MessageListener>();
  let nextLogMs = 0;
  const guarded = (listener: MessageListener): MessageListener => {
    const known = guards.get(listener);
    if (known !== undefined) return known;
    const wrapped: MessageListener = (...args) => {
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
    guards.set(listener, wrapped);
    return wrapped;
  };
  return new Proxy(connection, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function' || name === 'constructor') return value;
      const method = (value as MessageListener).bind(target);
      if (name === 'psubscribe' && pattern !== undefined) return () => method(pattern);
      if (name !== 'on' && name !== 'off') return method;
      return (event: string, listener: MessageListener) =>
        method(event, /message/i.test(event) ? guarded(listener) : listener);
    },
  });
}

/** What the Redis adapter is made with. */
export interface RedisAdapterOptions {
  /** `REDIS_KEY_PREFIX` */
  readonly prefix: string;
  /** What the names of its channels begin with; see {@link adapterKey}. */
  readonly key: string;
  /** A connection that does not queue while its link is down. */
  readonly publish: Connection;
  /** A connection of the adapter's own, which queues. */
  readonly subscribe: Connection;
  /** Whether to use sharded Pub/Sub (Redis 7). */
  readonly isCluster: boolean;
  /** On a cluster: what is published with Pub/Sub that is not sharded, as the stock emitter does. */
  readonly emitters?: HandedOn;
  /** Pods of version 0.1, which have other channels. */
  readonly former?: FormerPods;
  /** Shows this pod to the others, once it hears them (docs/ordering.md). */
  readonly presence: { show(): void };
  readonly log: Logger;
}

/**
 * What the channels of a gateway's adapter begin with: one hash slot, and nobody else's. The stock emitter takes it as `key`.
 *
 * @param prefix - `REDIS_KEY_PREFIX`
 * @param db - number of the database, which separates keys alone: without it, the calls of pods would cross
 */
export function adapterKey(prefix: string, db = 0): string {
  return `{${prefix}}:socket.io${db === 0 ? '' : `/${db}`}`;
}

/**
 * The adapter that shares with other pods what is not in the journal: `io.emit` of any pod, emits of
 * `@socket.io/redis-emitter`, cluster-wide disconnects, `serverSideEmit`.
 */
export function redisAdapter(options: RedisAdapterOptions): AdapterFactory {
  const { prefix, key, subscribe, isCluster, emitters, former, presence, log } = options;
  const publisher = new AdapterPublisher(options);
  if (isCluster) {
    // "static": one channel for all rooms. "dynamic" would subscribe in Redis for every topic that has a client.
    const sharded = createShardedAdapter(publisher, guardedSubscriber(subscribe, { log }), {
      channelPrefix: key,
      subscriptionMode: 'static',
    });
    const ears = emitters && guardedSubscriber(emitters, { log });
    // Not an arrow: Socket.IO calls it with `new`.
    return function shardedAdapter(namespace) {
      const main = sharded(namespace);
      presence.show();
      if (ears !== undefined) openEar(namespace, main, { key, publish: publisher, subscribe: ears });
      return main;
    };
  }
  // An ACL allows a pattern only if it is listed to the letter; this one is, for all that a gateway has.
  const subscriber = guardedSubscriber(subscribe, { log, pattern: `{${prefix}}:*` });
  const plain = createAdapter(publisher, subscriber, { key, publishOnSpecificResponseChannel: true });
  return function plainAdapter(namespace) {
    const main = plain(namespace);
    presence.show();
    former?.attach(namespace, main, guardedSubscriber(subscribe, { log, isLeftOut: isMarked }));
    return main;
  };
}
