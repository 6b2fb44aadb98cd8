import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { RedisCommands, RedisConnections } from '../redis/connections.js';
import { PodPresence } from '../redis/pod-presence.js';
import type { RedisTarget } from '../redis/url.js';
import { type AdapterFactory, adapterKey, redisAdapter } from '../websocket/adapter.js';
import { HandedOn } from '../websocket/ear-adapter.js';
import { FormerPods } from '../websocket/former-pods.js';

/** What pods reach each other with. */
export interface PodLinksOptions {
  readonly connections: RedisConnections;
  readonly commands: RedisCommands;
  readonly target: RedisTarget;
  /** A name that no other process has. */
  readonly pod: string;
  /** `REDIS_KEY_PREFIX` */
  readonly prefix: string;
  /** Name of the journal's epoch. */
  readonly epoch: () => string;
  readonly log: Logger;
}

/** How the pods of one gateway reach each other: the Socket.IO adapter, and what it hears besides. */
export class PodLinks {
  readonly adapter: AdapterFactory;
  /** The connection of the adapter that subscribes. */
  readonly subscriber: RedisCommands;
  /** Pods of version 0.1 beside this one; on a cluster they are not looked for. */
  readonly formerPods: FormerPods | undefined;
  /** On a cluster: where what is published on the gateway's channels without shards is handed on. */
  readonly emitters: HandedOn | undefined;
  /** Which pods of this version there are. */
  readonly presence: PodPresence;

  constructor({ connections, commands, target, pod, prefix, epoch, log }: PodLinksOptions) {
    const { isCluster } = connections;
    const key = adapterKey(prefix, target.kind === 'cluster' ? 0 : target.db);
    const subscriber = connections.commands('adapter', { queue: true });
    const former =
      subscriber instanceof Redis && commands instanceof Redis
        ? new FormerPods({ publish: commands, subscribe: subscriber, epoch, log })
        : undefined;
    this.subscriber = subscriber;
    this.formerPods = former;
    this.emitters = isCluster ? new HandedOn(key) : undefined;
    this.presence = new PodPresence({ pod, key, commands, subscriber });
    this.adapter = redisAdapter({
      prefix,
      key,
      publish: commands,
      subscribe: subscriber,
      isCluster,
      presence: this.presence,
      ...(this.emitters && { emitters: this.emitters }),
      ...(former && { former }),
      log,
    });
  }
}
