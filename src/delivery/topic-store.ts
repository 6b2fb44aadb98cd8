/** Topics that a client has chosen while connected. */
export interface KeptTopics {
  /** Grows with every connection of the client and with every choice on one; see {@link GENERATIONS}. */
  readonly generation: number;
  readonly topics: readonly string[];
}

/**
 * Keeps the topics that clients have chosen while connected, by the secret that Socket.IO's recovery knows them by
 * (`pid`), so that they survive a reconnect.
 *
 * A connection whose link is dead may be noticed long after the client has reconnected, maybe to another pod, and chosen
 * again. So what is kept has a generation, and an older one never takes the place of a newer one.
 */
export interface TopicStore {
  /**
   * Keeps the topics of a client for {@link TOPICS_TTL_MS}, in place of those of the same generation or an older one.
   *
   * @throws when they cannot be kept, or newer ones are
   */
  save(pid: string, kept: KeptTopics): Promise<void>;

  /**
   * Takes over the topics of a client for a new connection, for {@link TOPICS_TTL_MS} again. Whatever an earlier
   * connection saves from now on is refused.
   *
   * @returns them with the first generation of the new connection; `undefined` when the client never chose any, and
   *   `forgotten` when it may have, and nobody knows: it must not pass for one that has what it chose
   * @throws when nobody can tell
   */
  claim(pid: string): Promise<KeptTopics | 'forgotten' | undefined>;
}

/** Generations of one connection: more than it can choose. A double counts two million connections of them. */
export const GENERATIONS = 2 ** 32;

/** How long topics outlive the last sign of their client. It should be longer than the journal reaches back. */
export const TOPICS_TTL_MS = 7 * 24 * 3_600_000;

/** Why a store refuses. */
export const NEWER_IS_KEPT = 'a newer connection of this client has topics';

/** Bytes for topics kept in memory, about; the oldest go first. */
const MAX_BYTES = 64 * 1024 * 1024;

/** What a topic and a client take beside their characters, in bytes: most of it where topics are short. */
const BYTES_PER_TOPIC = 40;
const BYTES_PER_CLIENT = 300;

/** Topics kept in this process. */
export class MemoryTopicStore implements TopicStore {
  // A Map keeps the order of insertion: the oldest come first.
  readonly #kept = new Map<string, KeptTopics & { readonly size: number; readonly endMs: number }>();
  #size = 0;
  /** Whether topics had to go before their time. */
  #hasForgotten = false;

  save(pid: string, kept: KeptTopics): Promise<void> {
    if ((this.#find(pid)?.generation ?? 0) > kept.generation) return Promise.reject(new Error(NEWER_IS_KEPT));
    this.#put(pid, kept);
    return Promise.resolve();
  }

  claim(pid: string): Promise<KeptTopics | 'forgotten' | undefined> {
    const found = this.#find(pid);
    if (found === undefined) return Promise.resolve(this.#hasForgotten ? 'forgotten' : undefined);
    const generation = (Math.floor(found.generation / GENERATIONS) + 1) * GENERATIONS;
    const kept = { generation, topics: found.topics };
    this.#put(pid, kept);
    return Promise.resolve(kept);
  }

  #find(pid: string): KeptTopics | undefined {
    const found = this.#kept.get(pid);
    return found !== undefined && found.endMs > Date.now() ? found : undefined;
  }

  #put(pid: string, { generation, topics }: KeptTopics): void {
    this.#remove(pid);
    const size = topics.reduce((sum, topic) => sum + topic.length + BYTES_PER_TOPIC, pid.length + BYTES_PER_CLIENT);
    this.#kept.set(pid, { generation, topics, size, endMs: Date.now() + TOPICS_TTL_MS });
    this.#size += size;
    for (const [oldest, { endMs }] of this.#kept) {
      const isDue = endMs <= Date.now();
      if (this.#size <= MAX_BYTES && !isDue) break;
      if (!isDue) this.#hasForgotten = true;
      this.#remove(oldest);
    }
  }

  #remove(pid: string): void {
    this.#size -= this.#kept.get(pid)?.size ?? 0;
    this.#kept.delete(pid);
  }
}
