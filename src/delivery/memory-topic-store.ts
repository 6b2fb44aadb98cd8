import {
  BRIEF_TTL_MS,
  type ClaimedTopics,
  GENERATIONS,
  type KeptTopics,
  MAX_KEPT_BYTES,
  NEWER_IS_KEPT,
  type TopicStore,
} from './topic-store.js';

/** What a topic and a client take beside their characters, in bytes: most of it where topics are short. */
const BYTES_PER_TOPIC = 40;
const BYTES_PER_CLIENT = 300;

interface Record extends KeptTopics {
  readonly sizeBytes: number;
  readonly endMs: number;
}

/** Topics kept in this process. */
export class MemoryTopicStore implements TopicStore {
  /** Those that are kept briefly, and those that are kept for long. A Map keeps the order of insertion: by their end. */
  readonly #brief = new Map<string, Record>();
  readonly #long = new Map<string, Record>();
  readonly #maxBytes: number;
  #sizeBytes = 0;

  /** @param maxBytes - for all topics together, about */
  constructor(maxBytes = MAX_KEPT_BYTES) {
    this.#maxBytes = maxBytes;
  }

  save(pid: string, kept: KeptTopics, ttlMs: number): Promise<void> {
    const former = this.#find(pid);
    if ((former?.generation ?? 0) > kept.generation) return Promise.reject(new Error(NEWER_IS_KEPT));
    this.#put(pid, kept, Math.max(former?.endMs ?? 0, Date.now() + ttlMs));
    return Promise.resolve();
  }

  claim(pid: string): Promise<ClaimedTopics> {
    const found = this.#find(pid);
    if (found === undefined) return Promise.resolve({ generation: GENERATIONS, topics: undefined });
    const generation = (Math.floor(found.generation / GENERATIONS) + 1) * GENERATIONS;
    const kept = { generation, topics: found.topics };
    this.#put(pid, kept, Math.max(found.endMs, Date.now() + BRIEF_TTL_MS));
    return Promise.resolve(kept);
  }

  #find(pid: string): Record | undefined {
    const found = this.#brief.get(pid) ?? this.#long.get(pid);
    return found !== undefined && found.endMs > Date.now() ? found : undefined;
  }

  #put(pid: string, { generation, topics }: KeptTopics, endMs: number): void {
    this.#remove(pid);
    const sizeBytes = topics.reduce(
      (sum, topic) => sum + topic.length + BYTES_PER_TOPIC,
      pid.length + BYTES_PER_CLIENT,
    );
    const map = endMs - Date.now() > BRIEF_TTL_MS ? this.#long : this.#brief;
    map.set(pid, { generation, topics, sizeBytes, endMs });
    this.#sizeBytes += sizeBytes;
    for (;;) {
      const [first, record] = this.#firstToEnd() ?? [];
      if (first === undefined || record === undefined) return;
      if (this.#sizeBytes <= this.#maxBytes && record.endMs > Date.now()) return;
      this.#remove(first);
    }
  }

  /** Exactly the first of those kept briefly, and about the first of the others. */
  #firstToEnd(): [string, Record] | undefined {
    const [brief] = this.#brief;
    const [long] = this.#long;
    if (brief === undefined || long === undefined) return brief ?? long;
    return brief[1].endMs <= long[1].endMs ? brief : long;
  }

  #remove(pid: string): void {
    for (const map of [this.#brief, this.#long]) {
      this.#sizeBytes -= map.get(pid)?.sizeBytes ?? 0;
      map.delete(pid);
    }
  }
}
