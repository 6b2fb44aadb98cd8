import type { FeedMessage } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import { Problem, messageOf } from '../errors.js';

/** The commands this publisher needs of a Redis connection. */
export interface ScriptCommands {
  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown>;
}

/** One script, so that a batch is published whole and without another message in between. */
const PUBLISH_ALL = `for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end`;

/** Publishes into the Pub/Sub channels that every pod reads. */
export class RedisPublisher {
  readonly #redis: ScriptCommands;
  readonly #key: string;
  readonly #channels: Readonly<Record<FeedEvent, string>>;

  /**
   * @param redis - a connection that fails at once while its link is down
   */
  constructor(redis: ScriptCommands, keyPrefix: string, channels: Readonly<Record<FeedEvent, string>>) {
    this.#redis = redis;
    this.#key = `{${keyPrefix}}:publish`;
    this.#channels = channels;
  }

  /**
   * @returns no offsets: Pub/Sub has none
   * @throws {@link Problem} `publish_unavailable` when Redis did not take the messages
   */
  async publish(messages: readonly FeedMessage[]): Promise<readonly string[]> {
    const args = messages.flatMap(({ event, json }) => [this.#channels[event], json]);
    try {
      // The key is not touched: it names the slot, and so the node, that a cluster runs the script on.
      await this.#redis.eval(PUBLISH_ALL, 1, this.#key, ...args);
      return [];
    } catch (error) {
      throw new Problem('publish_unavailable', `Redis did not take the messages (${messageOf(error)}). Try again.`, {
        headers: { 'Retry-After': '1' },
      });
    }
  }
}
