import type { Redis } from 'ioredis';
import { withTimeout } from '../deadline.js';

/** What to subscribe to, and who gets it. */
export interface SubscriptionOptions {
  readonly channels: readonly string[];
  /** Channels by pattern, and who gets what comes on them. `onMessage` MUST NOT throw. */
  readonly pattern?: { readonly name: string; readonly onMessage: (channel: string, bytes: Buffer) => void };
  /** Called before anything is subscribed to; what it throws ends the session. */
  readonly begin?: () => Promise<void>;
  /** Gets every message, in the order of the link. MUST NOT throw. */
  readonly onMessage: (channel: string, bytes: Buffer) => void;
}

/** A link that is silently dead (a cut cable, a stopped process) is noticed within two intervals. */
const PING_INTERVAL_MS = 2000;
const SUBSCRIBE_LIMIT_MS = 5000;

/**
 * A Pub/Sub subscription: the session of a Redis link. It is up once Redis has confirmed every channel, so a pod is not
 * ready before it hears.
 *
 * @returns never
 * @throws when Redis no longer answers
 */
export async function subscription(redis: Redis, up: () => void, options: SubscriptionOptions): Promise<never> {
  const onMessage = (channel: Buffer, message: Buffer): void => options.onMessage(channel.toString(), message);
  const { pattern } = options;
  redis.on('messageBuffer', onMessage);
  if (pattern !== undefined) {
    redis.on('pmessageBuffer', (_: Buffer, channel: Buffer, message: Buffer) =>
      pattern.onMessage(channel.toString(), message),
    );
  }
  try {
    if (options.begin !== undefined)
      await withTimeout(SUBSCRIBE_LIMIT_MS, 'looking for other gateways', options.begin());
    await withTimeout(SUBSCRIBE_LIMIT_MS, 'subscribing', redis.subscribe(...options.channels));
    if (pattern !== undefined) await withTimeout(SUBSCRIBE_LIMIT_MS, 'subscribing', redis.psubscribe(pattern.name));
    up();
    return await silence(redis);
  } finally {
    // A server that hung may wake up before the connection is closed; what it says then, the next one hears too.
    redis.off('messageBuffer', onMessage);
  }
}

/** Rejects when a ping has no answer. */
function silence(redis: Redis): Promise<never> {
  return new Promise((_, reject) => {
    let answered = true;
    const ping = (): void => {
      if (!answered) reject(new Error(`no answer to a ping within ${PING_INTERVAL_MS} ms`));
      answered = false;
      const heard = (): void => {
        answered = true;
      };
      // An error is an answer too: a Redis that cannot save to its disk answers pings with MISCONF, and still sends what is published.
      redis.ping().then(heard, (error: Error) => error.name === 'ReplyError' && heard());
    };
    // After a pause of this process an answer may be waiting to be read: look after the next turn of the loop.
    const timer = setInterval(() => setImmediate(ping), PING_INTERVAL_MS);
    redis.once('end', () => clearInterval(timer));
  });
}
