import type { FeedDelivery } from '../delivery/delivery.js';
import { Rejections } from '../ingest/rejections.js';
import type { DeletingJournal, IdempotentJournal, Journal, JournalListener } from '../journal/journal.js';
import { MemoryJournal } from '../journal/memory-journal.js';
import type { Base } from './base.js';
import { memoryJournalBytes, ringBytes } from './journal-memory.js';
import { acceptObserver, dropObserver, linkAnnouncer, rejectObserver, sourceObserver } from './observers.js';
import { RedisParts } from './redis-parts.js';

/** The journal, and what comes with it. */
export interface JournalParts {
  readonly journal: Journal & IdempotentJournal & DeletingJournal;
  /** Counts and logs messages that are refused. */
  readonly rejections: Rejections;
  /** `undefined` in embedded mode: one pod, and a journal in memory. */
  readonly redis: RedisParts | undefined;
}

/**
 * Builds the journal, in Redis or in memory; its entries go to the delivery.
 *
 * @param onRenew - called when Redis may have lost what is kept there about connected clients: a lost link is back, or it is
 *   another run of Redis
 */
export function buildJournal(base: Base, delivery: FeedDelivery, onRenew: () => void): JournalParts {
  const { config, pod, log, metrics } = base;
  const onReject = rejectObserver(metrics);
  const { fanout } = delivery;
  const listener: JournalListener = {
    onEntry: (entry, since) => fanout.deliver(entry, since),
    onGap: (reason, requested, resumed) => fanout.gap(reason, requested, resumed),
    onDeleted: (entry) => fanout.forget(entry),
    room: () => fanout.room(),
  };
  if (config.redis === undefined) {
    return {
      journal: new MemoryJournal({
        maxEntries: config.journalMaxEntries,
        maxBytes: memoryJournalBytes(config.limits.memoryLimitBytes),
        listener,
      }),
      rejections: new Rejections({ onReject, isReporter: () => true, log }),
      redis: undefined,
    };
  }
  const redis = new RedisParts({
    target: config.redis,
    config,
    pod,
    ringBytes: ringBytes(config.limits.memoryLimitBytes),
    listener: {
      ...listener,
      onStatuses: (statuses) => fanout.remember(statuses),
      onRedis: linkAnnouncer(delivery, onRenew),
      onNewRun: onRenew,
      onBridged: acceptObserver(metrics, 'pubsub'),
      onSourced: sourceObserver(metrics),
      onSourceLost: (event, count) => metrics.sourceLost.inc({ event }, count),
      onDropped: dropObserver(log, metrics),
      onReject,
    },
    log,
  });
  return { journal: redis.journal, rejections: redis.rejections, redis };
}
