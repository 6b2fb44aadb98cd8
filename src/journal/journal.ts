import type { FeedMessage } from '../contract/decode.js';
import type { Offset } from '../contract/offset.js';

/** A message in its place. */
export interface JournalEntry extends FeedMessage, Offset {}

/**
 * The ordered log of the feed.
 *
 * - `seq` MUST grow by exactly one an entry within an epoch, and MUST NOT be used twice in it.
 * - A batch MUST be appended whole, without another entry in between, or not at all.
 * - Entries MUST be handed to the reader in order, each exactly once, after they are in the journal.
 */
export interface Journal {
  /**
   * @returns the places of the messages, in the order given
   * @throws when the messages are not in the journal
   */
  append(messages: readonly FeedMessage[]): Promise<readonly Offset[]>;
  /** The newest place; `seq` is 0 before the first entry. */
  head(): Offset;
}
