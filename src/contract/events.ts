import { z } from 'zod';
import { offsetSchema } from './offset.js';

/** Names of the events that go through the journal, which are also the default names of the Pub/Sub channels. */
export const FEED_EVENTS = ['new_signal', 'status_update'] as const;

/** An event that goes through the journal and out to clients. */
export type FeedEvent = (typeof FEED_EVENTS)[number];

/** Longest `symbol` accepted, in characters. */
export const MAX_SYMBOL_LENGTH = 64;

/** Longest `timeframe` accepted, in characters. */
export const MAX_TIMEFRAME_LENGTH = 16;

/** Longest part of a text from a client that is sent back to it, in characters. */
export const MAX_ECHO_LENGTH = 64;

/**
 * Most levels of objects and arrays in what a client gets: many JSON parsers stop at 64, and a client that cannot read a
 * signal would ask for it again for ever.
 */
export const MAX_PACKET_DEPTH = 64;

/** The same for a message alone, itself the first level: a client gets it as an argument of an event, inside an array. */
export const MAX_MESSAGE_DEPTH = MAX_PACKET_DEPTH - 1;

/**
 * `@` separates symbol and timeframe in a topic. Control characters are refused because names are logged. An
 * unpaired surrogate cannot be written in UTF-8: Redis would store each as U+FFFD, and different names would become the same.
 */
const NAME_CHARACTER = String.raw`[^@\u0000-\u001f\u007f\ud800-\udfff]`;

/** A name that may stand in a topic. `*` alone means everything, so a symbol of that name would be everybody's topic. */
const topicPart = new RegExp(String.raw`^(?!\*$)${NAME_CHARACTER}+$`, 'u');
/** {@link topicPart} in words. */
const NAME_TAKES = 'a text without "@" and control characters, and not "*"';

/** A name that is in no topic. With the flag `u` a pair is one character, and no surrogate. */
export const WELL_FORMED = /^[^\ud800-\udfff]*$/u;
const TIMESTAMP_TAKES = 'an ISO 8601 instant in UTC, such as 2023-10-27T10:00:00Z';

/** What a client may subscribe to: `*`, a symbol, or a symbol in one timeframe. Characters are code points, as zod and JSON Schema count. */
export const TOPIC_SHAPE = new RegExp(
  String.raw`^(?:\*|(?!\*(?:@|$))${NAME_CHARACTER}{1,${MAX_SYMBOL_LENGTH}}(?:@(?!\*$)${NAME_CHARACTER}{1,${MAX_TIMEFRAME_LENGTH}})?)$`,
  'u',
);

/** A topic of {@link TOPIC_SHAPE}. */
export const topicSchema = z.string().regex(TOPIC_SHAPE).describe('`*` (every signal), `BTC/USDT`, or `BTC/USDT@1m`.');

/** For the published contract: what JSON Schema cannot say about a payload. */
const PASSES =
  `Fields that are not named here pass through untouched. A field that is named here may appear only once, and objects ` +
  `and arrays nest at most ${MAX_MESSAGE_DEPTH} deep, the payload itself among them.`;

/** For the published contract: what {@link signalSchema} takes as a timestamp, in one expression. */
const UTC_INSTANT = String.raw`^(?=.*(?:Z|\+00:00)$)${z.core.regexes.datetime({ offset: true }).source.slice(1)}`;

/**
 * A trading signal. Fields that are not named here pass through untouched.
 *
 * The schema is the one source of the type {@link Signal}, of the validator and of the published contract.
 */
export const signalSchema = z
  .looseObject({
    type: z.string().min(1).describe('What made the signal, for example `QUANTUM_CIPHER`.'),
    signal: z.enum(['BUY', 'SELL']),
    price: z
      .number()
      .nonnegative()
      .describe(
        'In the quote currency of the symbol; a number that an IEEE 754 double can hold, so less than 1.8e308.',
      ),
    symbol: z.string().min(1).max(MAX_SYMBOL_LENGTH).regex(topicPart, NAME_TAKES).describe('For example `BTC/USDT`.'),
    timeframe: z.string().min(1).max(MAX_TIMEFRAME_LENGTH).regex(topicPart, NAME_TAKES).describe('For example `1m`.'),
    timestamp: z.iso
      .datetime({ offset: true, error: TIMESTAMP_TAKES })
      .refine((value) => value.endsWith('Z') || value.endsWith('+00:00'), { error: TIMESTAMP_TAKES })
      .meta({ pattern: UTC_INSTANT, description: 'ISO 8601 instant in UTC: ends in `Z` or `+00:00`.' }),
  })
  .describe(`A trading signal. ${PASSES}`);

/** The state of a service, as shown to every client. Fields that are not named here pass through untouched. */
export const statusSchema = z
  .looseObject({
    service: z
      .string()
      .min(1)
      .regex(WELL_FORMED)
      .describe('For example `SignalMonitorWorker`; `gateway` is the gateway itself.'),
    status: z.enum(['active', 'degraded', 'offline']),
    message: z.string().describe('For a person.'),
  })
  .describe(`The state of a service. ${PASSES}`);

/** First argument of `welcome`. */
export const welcomeSchema = z.object({ message: z.string().describe('`WELCOME_MESSAGE` of the configuration.') });

/** First argument of `gap`: what lies between two places is lost to this client. */
export const gapSchema = z
  .object({
    reason: z
      .enum(['expired', 'epoch', 'deleted'])
      .describe(
        '`expired`: too old, no longer kept. `epoch`: the journal it was in is lost. `deleted`: the one message at `resumed` was ' +
          'taken out by an operator, and all others come.',
      ),
    requested: z
      .string()
      .max(MAX_ECHO_LENGTH)
      .describe('The offset that the client sent; if that is not valid, the beginning of what it sent.'),
    resumed: offsetSchema,
  })
  .describe('What lies between two places of the journal is lost to this client; the feed continues after `resumed`.');

/** Why topics are refused. The first three also refuse a connection, as `data.code` of its `connect_error`. */
export const SUBSCRIBE_ERRORS = {
  invalid_topics: 'not an array of topics',
  too_many_topics: 'more than a client may have',
  topics_not_allowed: "the client's token does not allow one of them",
  payload_too_large: 'the request is longer than `MAX_PAYLOAD`',
  busy: 'earlier requests of this client are still under way, or it changes too many topics at once',
  unavailable: 'they cannot be kept for a reconnect right now; ask again later',
} as const satisfies Record<string, string>;

/** A stable code of {@link SUBSCRIBE_ERRORS}. */
export type SubscribeErrorCode = keyof typeof SUBSCRIBE_ERRORS;

const subscribeErrorCodeSchema = z.enum(Object.keys(SUBSCRIBE_ERRORS) as SubscribeErrorCode[]);

/** What a client gets when it has asked for topics; {@link ClientToServerEvents}. */
export const subscribeAnswerSchema = z.discriminatedUnion('ok', [
  z
    .object({
      ok: z.literal(true),
      topics: z.array(topicSchema).readonly().describe('The active topics, without those that another one covers.'),
    })
    .readonly(),
  z
    .object({
      ok: z.literal(false),
      error: z.object({ code: subscribeErrorCodeSchema, message: z.string().describe('For a person.') }).readonly(),
    })
    .describe('Nothing has changed.')
    .readonly(),
]);

/** Payload of `new_signal`. */
export type Signal = z.infer<typeof signalSchema>;

/** Payload of `status_update`. */
export type StatusUpdate = z.infer<typeof statusSchema>;

/** First argument of `welcome`. */
export type Welcome = Readonly<z.infer<typeof welcomeSchema>>;

/** First argument of `gap`: what lies between two places is lost to this client. */
export type Gap = Readonly<z.infer<typeof gapSchema>>;

/** What a client gets when it has asked for topics; {@link ClientToServerEvents}. */
export type SubscribeAnswer = z.infer<typeof subscribeAnswerSchema>;

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
