import type { Publisher } from '../admin/publish.js';
import type { FeedEvent } from '../contract/events.js';
import { formatOffset } from '../contract/offset.js';
import { Problem } from '../errors.js';
import { AppendError, type IdempotentJournal, type Journal, NotReplicatedError } from '../journal/journal.js';

/** Callbacks of {@link publisherInto}. */
export interface PublisherEvents {
  /** Called for every message that was appended. */
  readonly onAccepted: (event: FeedEvent) => void;
  /** Called for every request whose messages too few replicas had in time. */
  readonly onNotReplicated: (error: NotReplicatedError) => void;
  /** Why nothing can be appended, in the words of Redis, as far as it is known. */
  readonly whyLost: () => string | undefined;
}

/** What ioredis says where there is no connection; why there is none, it does not say. */
const NOT_CONNECTED = /isn't writeable|Connection is closed/;

function notReplicated({ replicas, needed }: NotReplicatedError): Problem {
  return new Problem(
    'not_replicated',
    `The messages are in the journal, but only ${replicas} of JOURNAL_MIN_REPLICAS=${needed} replicas were known to have them ` +
      'in time, so a failover may lose them. Repeat the request with the same Idempotency-Key: that publishes nothing twice.',
    { headers: { 'Retry-After': '1' } },
  );
}

/** Connects the publish API to the journal. */
export function publisherInto(
  journal: Journal & IdempotentJournal,
  { onAccepted, onNotReplicated, whyLost }: PublisherEvents,
): Publisher {
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
        if (error instanceof NotReplicatedError) {
          if (error.isNew) for (const { event } of messages) onAccepted(event);
          onNotReplicated(error);
          throw notReplicated(error);
        }
        if (!(error instanceof AppendError)) throw error;
        const reason = (NOT_CONNECTED.test(error.message) && whyLost()) || error.message;
        throw new Problem('publish_unavailable', `Redis did not confirm the messages (${reason}). Try again.`, {
          headers: { 'Retry-After': '1' },
        });
      }
    },
  };
}
