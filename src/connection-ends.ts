/**
 * The registry of why connections end. A reason never changes its meaning.
 *
 * The key is the reason everywhere: label `reason` of the metric `gateway_disconnects_total`, and field `reason` of the log
 * line "client disconnected". Where Socket.IO has a word for it, the key is that word.
 */
export const CONNECTION_ENDS = {
  'client namespace disconnect': {
    meaning: 'The client called `disconnect()`.',
    clientReasons: ['io client disconnect'],
    reconnects: false,
    advice: 'Call `connect()` to reconnect.',
  },
  'transport close': {
    meaning: 'The client, its network or a proxy closed the connection.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Nothing.',
  },
  'transport error': {
    meaning:
      'The connection broke, a long-polling request was refused, or the client sent a packet that only a server may send.',
    clientReasons: ['transport error', 'transport close'],
    reconnects: true,
    advice: 'Nothing. If it repeats, see [refused requests](#refused-requests).',
  },
  'ping timeout': {
    meaning: 'The client did not answer a ping within `PING_TIMEOUT`.',
    clientReasons: ['ping timeout', 'transport close'],
    reconnects: true,
    advice: 'Nothing.',
  },
  'parse error': {
    meaning: 'The client sent an invalid Engine.IO packet.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Fix the client.',
  },
  'forced close': {
    meaning:
      'The gateway closed the connection: an operator asked for it (`POST /v1/disconnect` with `reconnect`), a replay was ' +
      'interrupted, serving the client failed (`gateway_unhandled_faults_total`), or the client sent a Socket.IO packet that ' +
      'is invalid or too costly.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Nothing. If it repeats, check what the client sends.',
  },
  'forced server close': {
    meaning: 'A client on long-polling sent a packet for a namespace that it had not joined, or a second CONNECT.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Fix the client.',
  },
  'server namespace disconnect': {
    meaning: 'An operator disconnected the client (`POST /v1/disconnect`).',
    clientReasons: ['io server disconnect'],
    reconnects: false,
    advice: 'Call `connect()` only if the user asks for it.',
  },
  'server shutting down': {
    meaning: 'The pod stopped while the client was still connected, after the drain.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Nothing. It gets what it missed.',
  },
  drained: {
    meaning: 'The pod is stopping: it drains its clients over `DRAIN_SECONDS`.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Nothing. It gets what it missed.',
  },
  'slow client': {
    meaning: 'The client had something waiting and read nothing for `SLOW_TIMEOUT`.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Nothing. It gets what it missed.',
  },
  flood: {
    meaning: 'The client sent too much at once; `gateway_floods_total` says what.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Send less.',
  },
  'token expired': {
    meaning: "The client's token has expired.",
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Make `auth` a function that fetches a fresh token.',
  },
  'payload too large': {
    meaning:
      'The client sent a message longer than `MAX_PAYLOAD` that is neither CONNECT nor `subscribe`, or its fifth message that ' +
      'is longer. Which close code it gets is [below](#messages-that-are-too-large-and-floods).',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Send less at once.',
  },
  memory: {
    meaning:
      'The pod is short of memory, and the client was silent for 10 seconds, possibly in the middle of a message.',
    clientReasons: ['transport close'],
    reconnects: true,
    advice: 'Nothing.',
  },
} as const satisfies Record<string, ConnectionEnd>;

/** What there is to know of one reason. Texts are for the documents, in Markdown. */
export interface ConnectionEnd {
  readonly meaning: string;
  /** What the stock client gives to its event `disconnect`: one of these, depending on which side notices first. */
  readonly clientReasons: readonly ClientReason[];
  /** Whether the stock client reconnects by itself. */
  readonly reconnects: boolean;
  /** What a client should do beside that. */
  readonly advice: string;
}

type ClientReason =
  'io client disconnect' | 'io server disconnect' | 'transport close' | 'transport error' | 'ping timeout';

/** A reason of {@link CONNECTION_ENDS}. */
export type EndReason = keyof typeof CONNECTION_ENDS;

/** The reasons that a connection of Engine.IO gives. */
export type EngineEndReason = Extract<
  EndReason,
  'transport close' | 'transport error' | 'ping timeout' | 'parse error' | 'forced close'
>;

/**
 * Why a connection is closed before its client is connected, without an answer that could be read: the stock client sees
 * `transport close`, and reconnects by itself. What refuses a client with a code is in `errors.ts`.
 *
 * None of these counts in `gateway_disconnects_total`; `counted` is the metric that has them.
 */
export const EARLY_ENDS = {
  memory: {
    meaning: 'The pod is short of memory.',
    counted: 'gateway_refusals_total{reason="memory"}',
  },
  keys_unavailable: {
    meaning: "The token cannot be checked, because the issuer's keys are not available right now.",
    counted: 'gateway_refusals_total{reason="keys_unavailable"}',
  },
  retry: {
    meaning: 'Redis is unavailable, so the pod cannot tell whether the client can get what it missed.',
    counted: 'gateway_recoveries_total{result="retry"}',
  },
  fault: {
    meaning: 'The check of the token failed with an error.',
    counted: 'gateway_unhandled_faults_total{stage="promise"}',
  },
  'connect timeout': {
    meaning: 'The client did not join over its WebSocket within `CONNECT_TIMEOUT`.',
    counted: undefined,
  },
  not_joined: {
    meaning:
      'The client did not join: over long-polling within 10 seconds, or too many others waited to join; or over a WebSocket ' +
      'within a second, and another client needed its place.',
    counted: 'gateway_refusals_total{reason="not_joined"}',
  },
  max_connections: {
    meaning: 'The pod has become full since the client began to connect over long-polling.',
    counted: 'gateway_refusals_total{reason="max_connections"}',
  },
  'too many connects': {
    meaning: 'The client sent more than four CONNECT packets on one connection.',
    counted: undefined,
  },
} as const satisfies Record<string, { meaning: string; counted: string | undefined }>;

/** A reason of {@link EARLY_ENDS}. */
export type EarlyEndReason = keyof typeof EARLY_ENDS;
