/**
 * The newest `status_update` of every service, for clients that come late.
 *
 * It holds a limited number of services; beyond that the one that has been silent longest is forgotten, so that a
 * producer that makes up names can not fill the memory.
 */
export class StatusBoard {
  readonly #limit: number;
  // A Map keeps the order of insertion, which is the order of the last update here.
  readonly #newest = new Map<string, string>();

  /** @param limit - services remembered */
  constructor(limit = 1000) {
    this.#limit = limit;
  }

  /** Notes a status; `packet` is what a late client is sent. */
  set(service: string, packet: string): void {
    this.#newest.delete(service);
    this.#newest.set(service, packet);
    if (this.#newest.size <= this.#limit) return;
    const [oldest] = this.#newest.keys();
    if (oldest !== undefined) this.#newest.delete(oldest);
  }

  /** The packets to send to a client that has just come, the longest unchanged first. */
  packets(): IterableIterator<string> {
    return this.#newest.values();
  }
}
