import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import type { RedisJournalOptions } from '../journal/redis-journal.js';
import { WAIT_LANES } from '../journal/replica-wait.js';
import type { RedisConnections } from '../redis/connections.js';

/** What {@link keptLanes} needs. */
export interface KeptLanesOptions {
  readonly connections: RedisConnections;
  /** `JOURNAL_MIN_REPLICAS`. */
  readonly minReplicas: number;
  /** As `ReplicaWait.answering`; asked once. */
  readonly answering: () => Promise<number> | undefined;
  readonly log: Logger;
}

/** After the start: time for replicas that start together with this pod to connect. */
const COUNT_REPLICAS_AFTER_MS = 1000;

/**
 * Connections of their own for appends that wait for replicas, since the wait holds up whatever is behind it. Logs once if
 * there are too few replicas at the start.
 *
 * @returns `undefined` if nobody waits for replicas
 */
export function keptLanes(options: KeptLanesOptions): RedisJournalOptions['kept'] {
  const { connections, minReplicas, log } = options;
  if (minReplicas === 0) return undefined;
  const lanes = Array.from({ length: WAIT_LANES }, (_, index) =>
    connections.commands(`kept-${index + 1}`, { queue: false }),
  );
  for (const lane of lanes)
    lane.on('error', (error: Error) => log.debug({ reason: messageOf(error) }, 'Redis connection error'));
  lanes[0]?.once('ready', () => {
    setTimeout(() => void warnOfMissing(options), COUNT_REPLICAS_AFTER_MS).unref();
  });
  return { minReplicas, lanes };
}

async function warnOfMissing({ minReplicas: needed, answering, log }: KeptLanesOptions): Promise<void> {
  // The link reports what is wrong with Redis.
  const replicas = await answering()?.catch(() => undefined);
  if (replicas === undefined || replicas >= needed) return;
  log.warn(
    { replicas, needed },
    'Redis has fewer replicas than JOURNAL_MIN_REPLICAS asks for; publishing over HTTP is answered 503 until they connect',
  );
}
