import { readRedisTarget } from '../config/redis-access.js';
import { FEED_EVENTS, type FeedEvent } from '../contract/events.js';
import { withTimeout } from '../deadline.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { type RedisCommands, RedisConnections } from '../redis/connections.js';
import { faultOf } from '../redis/fault.js';
import { describeRedis } from '../redis/url.js';
import { type Item, type Outcome, PublishFailure, type PublishTarget } from './publish-target.js';

const LIMIT_MS = 10_000;

/** The variables that name the streams of a gateway. */
const VARIABLES: Readonly<Record<FeedEvent, string>> = { new_signal: 'SIGNAL_STREAM', status_update: 'STATUS_STREAM' };

/** The name of the stream of each event, or one name for whatever event comes first. */
export type StreamNames = string | Readonly<Record<FeedEvent, string | undefined>>;

/**
 * Adds to the Redis streams that gateways read. Nothing is sent twice: when the link breaks, nobody knows what Redis has added.
 */
export class StreamPublishTarget implements PublishTarget {
  readonly #names: Map<FeedEvent, string>;
  /** For the first event that comes. */
  readonly #anyName: string | undefined;
  readonly #used = new Set<FeedEvent>();
  readonly #server: string;
  readonly #connection: RedisCommands;
  #connected: Promise<void> | undefined;
  #fault: unknown;

  /**
   * @param url - as `REDIS_URL`
   * @throws StartError when it is not valid
   */
  constructor(url: string, names: StreamNames) {
    const target = readRedisTarget(url, process.env);
    if ('takes' in target) {
      const what = target.variable === 'REDIS_URL' ? '--redis, or REDIS_URL with --stream,' : target.variable;
      throw new StartError(`${what} takes ${target.takes}.`, EXIT.config);
    }
    this.#anyName = typeof names === 'string' ? names : undefined;
    const named = typeof names === 'string' ? [] : FEED_EVENTS.map((event) => [event, names[event]] as const);
    this.#names = new Map(named.flatMap(([event, name]) => (name === undefined ? [] : [[event, name] as const])));
    this.#server = describeRedis(target);
    this.#connection = new RedisConnections(target, 'signal-gateway').keyed('publish');
    this.#connection.on('error', (error) => (this.#fault = error));
  }

  async publish(event: FeedEvent, items: readonly Item[]): Promise<Outcome> {
    const stream = this.#streamOf(event);
    if (stream === undefined) {
      const why = `${VARIABLES[event]} is not set, and --stream names the stream of the other event`;
      return { published: 0, offsets: [], refused: items.map((item) => ({ item, why })) };
    }
    const connection = this.#connection;
    let isSent = false;
    let results: [error: Error | null, id: unknown][] | null;
    try {
      this.#connected ??= connection.connect();
      await withTimeout(LIMIT_MS, 'connecting', this.#connected);
      const pipeline = connection.pipeline();
      for (const { text } of items) pipeline.xadd(stream, '*', 'json', text);
      isSent = true;
      results = await withTimeout(LIMIT_MS, 'XADD', pipeline.exec());
    } catch (error) {
      throw this.#failure(this.#fault ?? error, items, { ids: [], unsure: isSent ? items : [] });
    }
    const ids = (results ?? []).map(([error, id]) => (error === null ? String(id) : undefined));
    const first = ids.indexOf(undefined);
    if (first >= 0) {
      // What Redis has answered with an error is not added; what broke off on its way may be, and so may what came behind.
      const rest = (results ?? []).slice(first);
      const isKnown = rest.every(([error]) => error?.name === 'ReplyError');
      const added = ids.slice(0, first).map(String);
      throw this.#failure(rest[0]?.[0], items, { ids: added, unsure: isKnown ? [] : items.slice(first) });
    }
    this.#used.add(event);
    return { published: items.length, offsets: ids.map(String), refused: [] };
  }

  // A command has only one attempt anyway.
  hurry(): void {}

  /** Whether a gateway reads the streams cannot be seen from here. */
  note(): string | undefined {
    if (this.#used.size === 0) return undefined;
    const added = [...this.#used].map((event) => [VARIABLES[event], this.#names.get(event)]);
    const streams = added.map(([, name]) => name).join(' and ');
    const set = added.map(([variable, name]) => `${variable}=${name}`).join(' and ');
    return `Added to ${streams}; a gateway with ${set} carries it.`;
  }

  close(): void {
    this.#connection.disconnect();
  }

  #streamOf(event: FeedEvent): string | undefined {
    if (this.#anyName !== undefined && this.#names.size === 0) this.#names.set(event, this.#anyName);
    return this.#names.get(event);
  }

  #failure(
    error: unknown,
    items: readonly Item[],
    { ids, unsure }: { readonly ids: readonly string[]; readonly unsure: readonly Item[] },
  ): PublishFailure {
    const { advice } = faultOf(error);
    const next = items[ids.length]?.line ?? items[0]?.line ?? 1;
    const outcome = { published: ids.length, offsets: ids, refused: [] };
    const text = `Cannot add to a stream of Redis at ${this.#server}: ${messageOf(error)}. ${advice}`;
    return new PublishFailure(text, { outcome, next, unsure });
  }
}
