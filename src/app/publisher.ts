import type { Publisher } from '../admin/publish.js';
import type { FeedEvent } from '../contract/events.js';
import { formatOffset } from '../contract/offset.js';
import { Problem } from '../errors.js';
import { AppendError, type Journal, type IdempotentJournal } from '../journal/journal.js';

/**
 * Connects the publish API to the journal.
 *
 * @param onAccepted - called for every message that was appended
 */
export function publisherInto(journal: Journal & IdempotentJournal, onAccepted: (event: FeedEvent) => void): Publisher {
  return {
    async publish(messages, once) {
      try {
        const result =
          once === undefined
            ? { outcome: 'appended' as const, offsets: await journal.append(messages) }
            : await journal.appendIdempotent(messages, once);
        if (result.outcome === 'conflict') {
          throw new Problem(
            'idempotency_key_reused',
            'This Idempotency-Key was used for another request in the last 5 minutes. Nothing was published.',
          );
        }
        const repeated = result.outcome === 'repeated';
        if (!repeated) for (const { event } of messages) onAccepted(event);
        return { offsets: result.offsets.map(formatOffset), repeated };
      } catch (error) {
        if (!(error instanceof AppendError)) throw error;
        throw new Problem('publish_unavailable', `Redis did not confirm the messages (${error.message}). Try again.`, {
          headers: { 'Retry-After': '1' },
        });
      }
    },
  };
}
