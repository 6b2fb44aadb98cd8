import { EventEmitter } from 'node:events';
import { RedisAdapter } from '@socket.io/redis-adapter';
import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';

/** How an an ear is set up. */
export interface EarOptions {
  /** What the names of its channels begin with; the stock emitter calls it `key`. */
  readonly key: string;
  /** Where answers are published. */
  readonly publish: object;
  /** Where is listened. */
  readonly subscribe: object;
}

/** An open ear. */
export type Ear = Pick<RedisAdapter, 'close'>;

/**
 * An ear for another family of channels: what is published there reaches the clients of this pod, as if it had come by the
 * adapter of the namespace. It speaks only to answer.
 */
class EarAdapter extends RedisAdapter {
  /** @param main - the adapter of the namespace, which knows who is in which room */
  constructor(namespace: Namespace, main: Adapter, { key, publish, subscribe }: EarOptions) {
    super(namespace, publish, subscribe, { key, publishOnSpecificResponseChannel: true });
    this.rooms = main.rooms;
    this.sids = main.sids;
  }
}

/** Opens an ear, and returns what closes it. */
export function openEar(namespace: Namespace, main: Adapter, options: EarOptions): Ear {
  return new EarAdapter(namespace, main, options);
}

/**
 * What an ear listens to in place of a connection, where somebody else has the subscription: the stock emitter on a cluster
 * publishes with Pub/Sub that is not sharded.
 */
export class HandedOn extends EventEmitter {
  readonly #key: string;

  /** @param key - as {@link EarOptions.key} */
  constructor(key: string) {
    super();
    this.#key = key;
  }

  /** Takes what was heard on a channel. */
  take(channel: string, message: Buffer): void {
    if (channel.startsWith(`${this.#key}#`)) this.emit('pmessageBuffer', '', channel, message);
    else if (channel.startsWith(`${this.#key}-request#`)) this.emit('messageBuffer', channel, message);
  }

  subscribe(): void {}
  psubscribe(): void {}
}
