import { Cluster, type Redis } from 'ioredis';

/** How {@link PodPresence} is set up. */
export interface PodPresenceOptions {
  /** A name that no other pod has. */
  readonly pod: string;
  /** What the names of the adapter's channels begin with. */
  readonly key: string;
  readonly commands: Redis | Cluster;
  /** The connection on which this pod hears the others. */
  readonly subscriber: Redis | Cluster;
}

/**
 * Which pods hear each other, by name: each subscribes to a channel that is named after it, on the connection on which it hears
 * the others. Redis drops the subscription when the pod dies. Numbers of subscribers would not do: anybody may subscribe, and a
 * connection that is half gone counts beside the one that replaced it.
 */
export class PodPresence {
  readonly pod: string;
  readonly #channels: string;
  readonly #commands: Redis | Cluster;
  readonly #subscriber: Redis | Cluster;

  constructor({ pod, key, commands, subscriber }: PodPresenceOptions) {
    this.pod = pod;
    this.#channels = `${key}:pod:`;
    this.#commands = commands;
    this.#subscriber = subscriber;
  }

  /** Shows this pod to the others. MUST be called after its adapter has subscribed: whoever is seen is expected to answer. */
  show(): void {
    const channel = this.#channels + this.pod;
    const subscriber = this.#subscriber;
    const shown = subscriber instanceof Cluster ? subscriber.ssubscribe(channel) : subscriber.subscribe(channel);
    // The connection subscribes again when it is back.
    shown.catch(() => {});
  }

  /** The names of the other pods that are there now. */
  async others(): Promise<readonly string[]> {
    const pattern = `${this.#channels}*`;
    const commands = this.#commands;
    const found =
      commands instanceof Cluster
        ? await Promise.all(commands.nodes('master').map((node) => node.call('PUBSUB', 'SHARDCHANNELS', pattern)))
        : [await commands.pubsub('CHANNELS', pattern)];
    const names = (found as string[][]).flat().map((channel) => channel.slice(this.#channels.length));
    return [...new Set(names)].filter((name) => name !== this.pod);
  }
}
