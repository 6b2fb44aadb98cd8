/** Counts the topics of all clients of a pod, as they change: nobody has to go through the clients to know how many there are. */
export class TopicCounts {
  readonly #clients = new Map<string, number>();

  /** Topics that somebody is subscribed to. */
  get size(): number {
    return this.#clients.size;
  }

  /** Notes the topics of a client that has come. */
  add(topics: ReadonlySet<string>): void {
    for (const topic of topics) this.#clients.set(topic, (this.#clients.get(topic) ?? 0) + 1);
  }

  /** Forgets the topics of a client that has gone, or has others now. */
  remove(topics: ReadonlySet<string>): void {
    for (const topic of topics) {
      const left = (this.#clients.get(topic) ?? 1) - 1;
      if (left > 0) this.#clients.set(topic, left);
      else this.#clients.delete(topic);
    }
  }
}
