import type { FeedMessage } from '../contract/decode.js';
import { nameOfMessage } from '../contract/message-name.js';

/** Messages with the same text, the first of which stands for all. */
export type Equal = readonly { readonly message: FeedMessage }[];

/**
 * Finds messages that wait by their name. A name takes long to make, so it is made once, when one is looked for first.
 */
export class WaitingNames<Group extends Equal> {
  readonly #byName = new Map<string, Group>();
  readonly #names = new Map<Group, string>();
  readonly #nameless: Set<Group>;

  /** @param groups - what waits now */
  constructor(groups: Iterable<Group>) {
    this.#nameless = new Set(groups);
  }

  /** Notes a group that waits now. */
  add(group: Group): void {
    this.#nameless.add(group);
  }

  /** Notes that no message of a group waits any longer. */
  remove(group: Group): void {
    if (this.#nameless.delete(group)) return;
    this.#byName.delete(this.#names.get(group) ?? '');
    this.#names.delete(group);
  }

  /** Those that wait under a name. */
  find(name: string): Group | undefined {
    for (const group of this.#nameless) {
      const [first] = group;
      if (first === undefined) continue;
      const own = nameOfMessage(first.message.event, first.message.json);
      this.#byName.set(own, group);
      this.#names.set(group, own);
    }
    this.#nameless.clear();
    return this.#byName.get(name);
  }
}
