import { isTopic } from '../contract/topics.js';
import type { LoadScript, RunScript } from '../redis/lua-script.js';
import { GENERATIONS, type KeptTopics, NEWER_IS_KEPT, TOPICS_TTL_MS, type TopicStore } from './topic-store.js';

/** Keeps topics where every pod finds them: in the string `{prefix}:topics:<pid>`, the generation and then a JSON array. */
export class RedisTopicStore implements TopicStore {
  readonly #save: RunScript;
  readonly #claim: RunScript;
  readonly #prefix: string;

  /** @param load - of scripts that fail at once while the link to Redis is down */
  constructor(load: LoadScript, keyPrefix: string) {
    this.#save = load(new URL('./lua/save-topics.lua', import.meta.url));
    this.#claim = load(new URL('./lua/claim-topics.lua', import.meta.url));
    this.#prefix = `{${keyPrefix}}:topics:`;
  }

  async save(pid: string, { generation, topics }: KeptTopics): Promise<void> {
    const saved = await this.#save([this.#prefix + pid], [generation, JSON.stringify(topics), TOPICS_TTL_MS]);
    if (saved !== 1) throw new Error(NEWER_IS_KEPT);
  }

  async claim(pid: string): Promise<KeptTopics | undefined> {
    const found = await this.#claim([this.#prefix + pid], [GENERATIONS, TOPICS_TTL_MS]);
    if (found === null) return undefined;
    const [generation, topics] = found as [string, string];
    // What was kept before topics were checked as they are now has no signals.
    return { generation: Number(generation), topics: (JSON.parse(topics) as unknown[]).filter(isTopic) };
  }
}
