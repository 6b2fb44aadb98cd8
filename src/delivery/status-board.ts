/**
 * The newest `status_update` of every service, for clients that come late.
 *
 * It holds a limited number of services; beyond that the one that has been silent longest is forgotten, so that a
 * producer that makes up names cannot fill the memory.
 */
export class StatusBoard {
  readonly #limit: number;
  // A Map keeps the order of insertion, which is the order of the last update here.
  readonly #newest = new Map<string, { readonly packet: string; readonly offset: string | undefined }>();

  /** @param limit - services remembered */
  constructor(limit = 1000) {
    this.#limit = limit;
  }

  /**
   * Notes a status.
   *
   * @param packet - what a late client is sent
   * @param offset - of its entry, if it has one
   */
  set(service: string, packet: string, offset?: string): void {
    this.#newest.delete(service);
    this.#newest.set(service, { packet, offset });
    if (this.#newest.size <= this.#limit) return;
    const [oldest] = this.#newest.keys();
    if (oldest !== undefined) this.#newest.delete(oldest);
  }

  /** Forgets the status of a service if it is the one of this entry: nothing is known of the service then. */
  forget(service: string, offset: string): void {
    if (this.#newest.get(service)?.offset === offset) this.#newest.delete(service);
  }

  /** The packet of one service. */
  packetOf(service: string): string | undefined {
    return this.#newest.get(service)?.packet;
  }

  /** The packets to send to a client that has just come, the longest unchanged first. */
  *packets(): Generator<string, void> {
    for (const { packet } of this.#newest.values()) yield packet;
  }
}
