import type { EndReason } from '../connection-ends.js';

/** Remembers why the gateway ended connections, since Socket.IO only says that it did. */
export class EndCauses {
  readonly #known = new WeakMap<object, EndReason>();

  /** To be called just before the gateway ends a connection. */
  note(connection: object, reason: EndReason): void {
    this.#known.set(connection, reason);
  }

  /** @param told - the reason that Socket.IO gives */
  of(connection: object, told: EndReason): EndReason {
    return this.#known.get(connection) ?? told;
  }
}
