import type { Redis } from 'ioredis';
import { RedisFaultError, faultFor } from './fault.js';

/** Which gateway, and where its keys are. */
export interface DatabaseOptions {
  /** `REDIS_KEY_PREFIX` */
  readonly prefix: string;
  /** Number of the database. */
  readonly db: number;
}

/**
 * Makes sure that no gateway with the same prefix uses another database of this Redis.
 *
 * A number separates keys, and not Pub/Sub: each of the two would hear the other's pods and take them for its own. So every pod
 * subscribes to a channel that is named after its database, and then looks which of these have listeners (docs/ordering.md).
 * Of two gateways that start at the same time both may refuse; they try again after times that differ.
 *
 * @param subscriber - subscribes to the channel, before it looks
 * @param commands - looks
 * @throws {@link RedisFaultError} `other_database` when there is such a gateway
 */
export async function claimDatabase(
  subscriber: Pick<Redis, 'subscribe'>,
  commands: Pick<Redis, 'pubsub'>,
  { prefix, db }: DatabaseOptions,
): Promise<void> {
  const channels = `{${prefix}}:database:`;
  await subscriber.subscribe(channels + db);
  const used = (await commands.pubsub('CHANNELS', `${channels}*`)) as string[];
  const other = used.map((channel) => Number(channel.slice(channels.length))).find((number) => number !== db);
  if (other === undefined) return;
  throw new RedisFaultError(
    faultFor(
      'other_database',
      `a gateway with REDIS_KEY_PREFIX "${prefix}" uses database ${other} of this Redis, and this one database ${db}; ` +
        'a number does not separate Pub/Sub, so each would take the pods of the other for its own',
    ),
  );
}
