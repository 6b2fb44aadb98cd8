import { TOPICS_TTL_MS, type TopicStore } from './topic-store.js';

/** The commands this store needs of a Redis connection that fails at once while its link is down. */
export interface StringCommands {
  set(key: string, value: string, unit: 'PX', ttl: number): Promise<unknown>;
  get(key: string): Promise<string | null>;
  del(key: string): Promise<unknown>;
}

/** Keeps topics where every pod finds them: JSON in the string `{prefix}:topics:<pid>`. */
export class RedisTopicStore implements TopicStore {
  readonly #redis: StringCommands;
  readonly #prefix: string;

  constructor(redis: StringCommands, keyPrefix: string) {
    this.#redis = redis;
    this.#prefix = `{${keyPrefix}}:topics:`;
  }

  async save(pid: string, topics: readonly string[]): Promise<void> {
    await this.#redis.set(this.#prefix + pid, JSON.stringify(topics), 'PX', TOPICS_TTL_MS);
  }

  async load(pid: string): Promise<readonly string[] | undefined> {
    const text = await this.#redis.get(this.#prefix + pid);
    return text === null ? undefined : (JSON.parse(text) as string[]);
  }

  async drop(pid: string): Promise<void> {
    // What is left behind expires by itself.
    await this.#redis.del(this.#prefix + pid).catch(() => {});
  }
}
