/**
 * Keeps the topics that clients have chosen while connected, by the secret that Socket.IO's recovery knows them by
 * (`pid`), so that they survive a reconnect.
 */
export interface TopicStore {
  /**
   * Keeps the topics of a client for {@link TOPICS_TTL_MS}, in place of earlier ones.
   *
   * @throws when they can not be kept
   */
  save(pid: string, topics: readonly string[]): Promise<void>;

  /**
   * @returns `undefined` when nothing is kept
   * @throws when nobody can tell
   */
  load(pid: string): Promise<readonly string[] | undefined>;

  /** Forgets a client that will not recover. MUST NOT reject. */
  drop(pid: string): Promise<void>;
}

/** How long topics outlive the last sign of their client. */
export const TOPICS_TTL_MS = 3_600_000;

/** Characters of topics kept in memory, about; the oldest go first. */
const MAX_CHARACTERS = 64 * 1024 * 1024;

/** Topics kept in this process. */
export class MemoryTopicStore implements TopicStore {
  // A Map keeps the order of insertion: the oldest come first.
  readonly #kept = new Map<
    string,
    { readonly topics: readonly string[]; readonly size: number; readonly end: number }
  >();
  #size = 0;

  save(pid: string, topics: readonly string[]): Promise<void> {
    this.#remove(pid);
    const size = pid.length + topics.reduce((sum, topic) => sum + topic.length, 0);
    this.#kept.set(pid, { topics, size, end: Date.now() + TOPICS_TTL_MS });
    this.#size += size;
    for (const [oldest, { end }] of this.#kept) {
      if (this.#size <= MAX_CHARACTERS && end > Date.now()) break;
      this.#remove(oldest);
    }
    return Promise.resolve();
  }

  load(pid: string): Promise<readonly string[] | undefined> {
    const found = this.#kept.get(pid);
    return Promise.resolve(found !== undefined && found.end > Date.now() ? found.topics : undefined);
  }

  drop(pid: string): Promise<void> {
    this.#remove(pid);
    return Promise.resolve();
  }

  #remove(pid: string): void {
    this.#size -= this.#kept.get(pid)?.size ?? 0;
    this.#kept.delete(pid);
  }
}
