import { z } from 'zod';

/** Names of the events that go through the journal, which are also the default names of the Pub/Sub channels. */
export const FEED_EVENTS = ['new_signal', 'status_update'] as const;

/** An event that goes through the journal and out to clients. */
export type FeedEvent = (typeof FEED_EVENTS)[number];

/** Longest `symbol` accepted, in characters. */
export const MAX_SYMBOL_LENGTH = 64;

/** Longest `timeframe` accepted, in characters. */
export const MAX_TIMEFRAME_LENGTH = 16;

/**
 * A name that may stand in a topic. `@` separates symbol and timeframe there and `*` alone means everything, so a symbol
 * with either would name another symbol's topic. Control characters are refused because names are logged.
 */
// eslint-disable-next-line no-control-regex -- refusing control characters is the point
export const topicPart = /^(?!\*$)[^@\u0000-\u001f\u007f]+$/;

/**
 * A trading signal. Fields that are not named here pass through untouched.
 *
 * The schema is the one source of the type {@link Signal}, of the validator and of the published contract.
 */
export const signalSchema = z.looseObject({
  /** What made the signal, for example `QUANTUM_CIPHER`. */
  type: z.string().min(1),
  signal: z.enum(['BUY', 'SELL']),
  /** In the quote currency of the symbol; finite and not negative. */
  price: z.number().nonnegative(),
  /** For example `BTC/USDT`. */
  symbol: z.string().min(1).max(MAX_SYMBOL_LENGTH).regex(topicPart, 'has a character that a topic can not carry'),
  /** For example `1m`. */
  timeframe: z.string().min(1).max(MAX_TIMEFRAME_LENGTH).regex(topicPart, 'has a character that a topic can not carry'),
  /** ISO 8601 instant in UTC: ends in `Z` or `+00:00`. */
  timestamp: z.iso
    .datetime({ offset: true })
    .refine((value) => value.endsWith('Z') || value.endsWith('+00:00'), { error: 'is not in UTC' }),
});

/** The state of a service, as shown to every client. Fields that are not named here pass through untouched. */
export const statusSchema = z.looseObject({
  /** For example `SignalMonitorWorker`. */
  service: z.string().min(1),
  status: z.enum(['active', 'degraded', 'offline']),
  message: z.string(),
});

/** Payload of `new_signal`. */
export type Signal = z.infer<typeof signalSchema>;

/** Payload of `status_update`. */
export type StatusUpdate = z.infer<typeof statusSchema>;

/** First argument of `welcome`. */
export interface Welcome {
  readonly message: string;
}

/** First argument of `gap`: what lies between two places is lost to this client. */
export interface Gap {
  /** `expired`: too old, no longer kept. `epoch`: the journal it was in is lost. */
  readonly reason: 'expired' | 'epoch';
  /** The offset that the client came with. */
  readonly requested: string;
  /** The offset after which it goes on. */
  readonly resumed: string;
}

/** What a client gets when it has asked for topics; {@link ClientToServerEvents}. */
export type SubscribeAnswer =
  /** In force; `topics` without those that another one covers. */
  | { readonly ok: true; readonly topics: readonly string[] }
  /** Nothing has changed. */
  | { readonly ok: false; readonly error: { readonly code: SubscribeErrorCode; readonly message: string } };

/** Why topics can not be had. The first three also refuse a connection, as `data.code` of its `connect_error`. */
export type SubscribeErrorCode =
  /** Not an array of topics. */
  | 'invalid_topics'
  /** More than a client may have. */
  | 'too_many_topics'
  /** The client's token does not allow one of them. */
  | 'topics_not_allowed'
  /** Earlier requests of this client are still under way. */
  | 'busy'
  /** They can not be kept for a reconnect right now; to be asked for again. */
  | 'unavailable';

/** Socket.IO events from a client to the gateway. */
export interface ClientToServerEvents {
  /** Replaces all topics of the client. */
  subscribe: (topics: readonly string[], ack?: (answer: SubscribeAnswer) => void) => void;
}

/** Socket.IO events from the gateway to a client; the last argument, where it is a string, is an offset. */
export interface ServerToClientEvents {
  welcome: (welcome: Welcome, offset: string) => void;
  new_signal: (signal: Signal, offset: string) => void;
  status_update: (status: StatusUpdate, offset?: string) => void;
  gap: (gap: Gap) => void;
  /** Where the journal is, for clients whose topics are quiet. */
  checkpoint: (offset: string) => void;
}
