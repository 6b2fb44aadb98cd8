import { isTopic } from '../contract/topics.js';
import type { LoadScript, RunScript } from '../redis/lua-script.js';
import {
  BRIEF_TTL_MS,
  type ClaimedTopics,
  GENERATIONS,
  type KeptTopics,
  LONG_TTL_MS,
  MAX_KEPT_BYTES,
  NEWER_IS_KEPT,
  type TopicStore,
} from './topic-store.js';

/** Kept topics take this share of `maxmemory` at most: publishing must not feel them. */
const SHARE_OF_REDIS = 1 / 16;

/** The keys go when nobody has kept anything for that long. */
const KEYS_TTL_MS = LONG_TTL_MS + 3_600_000;

/**
 * Keeps topics where every pod finds them: in the hash `{prefix}:kept-topics`, with two lists that say in which order they
 * end. Each record has the run of Redis that it was written on. After a failover or a restart an older record may have
 * replaced a newer one, so {@link claim} trusts none of another run until a pod has saved it again.
 */
export class RedisTopicStore implements TopicStore {
  readonly #save: RunScript;
  readonly #claim: RunScript;
  readonly #room: RunScript;
  readonly #keys: readonly string[];
  #maxBytes: number | undefined;
  #run: string | undefined;

  /** @param load - of scripts that fail at once while the link to Redis is down */
  constructor(load: LoadScript, keyPrefix: string) {
    const script = (name: string): RunScript =>
      load(new URL(`./lua/${name}.lua`, import.meta.url), new URL('./lua/kept-topics.lua', import.meta.url));
    this.#save = script('save-topics');
    this.#claim = script('claim-topics');
    this.#room = script('kept-topics-room');
    const key = `{${keyPrefix}}:kept-topics`;
    this.#keys = [key, `${key}:brief`, `${key}:long`];
  }

  /**
   * Learns how much Redis has room for, and whether it is still the same run.
   *
   * @returns whether it is another run than the last time, so that what is kept has to be saved again
   * @throws when Redis does not answer
   */
  async look(): Promise<boolean> {
    const [maxMemory, run] = (await this.#room(this.#keys, [])) as [string, string];
    const hasChanged = this.#run !== undefined && this.#run !== run;
    this.#run = run;
    const shareBytes = Number(maxMemory) * SHARE_OF_REDIS;
    this.#maxBytes = shareBytes === 0 ? MAX_KEPT_BYTES : Math.min(MAX_KEPT_BYTES, Math.floor(shareBytes));
    return hasChanged;
  }

  async save(pid: string, { generation, topics }: KeptTopics, ttlMs: number): Promise<void> {
    if (this.#maxBytes === undefined) await this.look();
    const saved = await this.#save(this.#keys, [
      pid,
      generation,
      JSON.stringify(topics),
      ttlMs,
      BRIEF_TTL_MS,
      KEYS_TTL_MS,
      this.#maxBytes ?? MAX_KEPT_BYTES,
    ]);
    if (saved !== 1) throw new Error(NEWER_IS_KEPT);
  }

  async claim(pid: string): Promise<ClaimedTopics> {
    const claimed = await this.#claim(this.#keys, [pid, GENERATIONS, BRIEF_TTL_MS, KEYS_TTL_MS]);
    const [generation, topics] = claimed as [string, string?];
    // What was kept before topics were checked as they are now has no signals.
    const kept = topics === undefined ? undefined : (JSON.parse(topics) as unknown[]).filter(isTopic);
    return { generation: Number(generation), topics: kept };
  }
}
