import { readRedisTarget } from '../config/redis-access.js';
import type { FeedEvent } from '../contract/events.js';
import { withTimeout } from '../deadline.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { RedisConnections } from '../redis/connections.js';
import { describeRedis } from '../redis/url.js';
import { type Item, type Outcome, PublishFailure, type PublishTarget } from './publish-target.js';

const LIMIT_MS = 10_000;

/**
 * Publishes into the Pub/Sub channels that gateways subscribe to. Nothing is sent twice: when the link breaks, nobody knows
 * what Redis has delivered.
 */
export class RedisPublishTarget implements PublishTarget {
  readonly #channels: Readonly<Record<FeedEvent, string>>;
  readonly #name: string;
  readonly #isCluster: boolean;
  readonly #connection: ReturnType<RedisConnections['single']>;
  #connected: Promise<void> | undefined;
  #fault: unknown;

  /**
   * @param url - as `REDIS_URL`
   * @throws StartError when it is not valid
   */
  constructor(url: string, channels: Readonly<Record<FeedEvent, string>>) {
    const target = readRedisTarget(url, process.env);
    if ('takes' in target) {
      const what = target.variable === 'REDIS_URL' ? '--redis, or REDIS_URL with it,' : target.variable;
      throw new StartError(`${what} takes ${target.takes}.`, EXIT.config);
    }
    this.#channels = channels;
    this.#name = describeRedis(target);
    this.#isCluster = target.kind === 'cluster';
    this.#connection = new RedisConnections(target, 'signal-gateway').single('publish');
    this.#connection.on('error', (error) => (this.#fault = error));
  }

  async publish(event: FeedEvent, items: readonly Item[]): Promise<Outcome> {
    const connection = this.#connection;
    let isSent = false;
    let results: Awaited<ReturnType<ReturnType<typeof connection.pipeline>['exec']>>;
    try {
      this.#connected ??= connection.connect();
      await withTimeout(LIMIT_MS, 'connecting', this.#connected);
      const pipeline = connection.pipeline();
      for (const { text } of items) pipeline.publish(this.#channels[event], text);
      isSent = true;
      results = await withTimeout(LIMIT_MS, 'PUBLISH', pipeline.exec());
    } catch (error) {
      throw this.#failure(messageOf(this.#fault ?? error), items, isSent);
    }
    const error = results?.find(([fault]) => fault !== null)?.[0];
    if (error !== undefined && error !== null) throw this.#failure(messageOf(error), items, true);
    // A node of a cluster counts its own listeners only.
    const unheard = this.#isCluster ? [] : items.filter((_, index) => results?.[index]?.[1] === 0);
    if (unheard.length > 0) {
      throw giveUp(
        `Nobody listens to ${this.#channels[event]} on ${this.#name}: of ${items.length} messages ${unheard.length} reached ` +
          'nobody. Start a gateway with this REDIS_URL.',
        items,
        unheard.length < items.length,
      );
    }
    return { published: items.length, offsets: [], refused: [] };
  }

  // A command has only one attempt anyway.
  hurry(): void {}

  close(): void {
    this.#connection.disconnect();
  }

  #failure(reason: string, items: readonly Item[], isSent: boolean): PublishFailure {
    const text = `Redis at ${this.#name} cannot be used: ${reason}. Start it, or name another with --redis.`;
    return giveUp(text, items, isSent);
  }
}

function giveUp(message: string, items: readonly Item[], isUnsure: boolean): PublishFailure {
  const outcome = { published: 0, offsets: [], refused: [] };
  return new PublishFailure(message, { outcome, next: items[0]?.line ?? 1, unsure: isUnsure ? items : [] });
}
