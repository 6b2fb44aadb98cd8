import { isTopic } from '../contract/topics.js';
import { GENERATIONS, type KeptTopics, NEWER_IS_KEPT, TOPICS_TTL_MS, type TopicStore } from './topic-store.js';

/** Runs one Lua script. It fails at once while the link to Redis is down. */
export type RunScript = (keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;

/**
 * KEYS topics of the client. ARGV generation, topics, time to live in ms.
 *
 * @returns 0 when a greater generation is kept
 */
const SAVE = `
local kept = redis.call('GET', KEYS[1]) or ''
if tonumber(string.match(kept, '^%d+') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
`;

/**
 * KEYS topics of the client. ARGV generations of one connection, time to live in ms.
 *
 * @returns the first generation of the new connection and the topics, or nil
 */
const CLAIM = `
local kept = redis.call('GET', KEYS[1])
if not kept then return false end
local generation, topics = string.match(kept, '^(%d*)(.*)$')
local connection = math.floor((tonumber(generation) or 0) / ARGV[1]) + 1
generation = string.format('%.0f', connection * ARGV[1])
redis.call('SET', KEYS[1], generation .. topics, 'PX', ARGV[2])
return {generation, topics}
`;

/** Keeps topics where every pod finds them: in the string `{prefix}:topics:<pid>`, the generation and then a JSON array. */
export class RedisTopicStore implements TopicStore {
  readonly #save: RunScript;
  readonly #claim: RunScript;
  readonly #prefix: string;

  /** @param load - makes a Lua script ready */
  constructor(load: (source: string) => RunScript, keyPrefix: string) {
    this.#save = load(SAVE);
    this.#claim = load(CLAIM);
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
