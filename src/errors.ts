/**
 * The registry of errors that leave the process. A code never changes its meaning; clients may switch on it.
 */
export const PROBLEMS = {
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  unauthorized: { status: 401, title: 'A valid API key is required' },
  forbidden: { status: 403, title: 'This caller is not allowed to use the publish API' },
  publish_token_required: { status: 401, title: 'Publishing from the dashboard requires its link' },
  publish_token_wrong: { status: 401, title: 'Invalid publish token' },
  bad_request: { status: 400, title: 'Malformed request' },
  request_timeout: { status: 408, title: 'The request body arrived too slowly' },
  headers_too_large: { status: 431, title: 'Request headers too large' },
  body_too_large: { status: 413, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  unsupported_encoding: { status: 415, title: 'The body must not be compressed' },
  invalid_encoding: { status: 400, title: 'The body is not valid UTF-8' },
  invalid_json: { status: 400, title: 'The body is not JSON' },
  empty_batch: { status: 422, title: 'The batch is empty' },
  batch_too_long: { status: 422, title: 'The batch has too many items' },
  message_too_large: { status: 413, title: 'A message is too large' },
  invalid_signal: { status: 422, title: 'Invalid signal' },
  invalid_status: { status: 422, title: 'Invalid status' },
  duplicate_field: { status: 422, title: 'Duplicate field' },
  lone_surrogate: { status: 422, title: 'Unpaired surrogate in a name' },
  too_deep: { status: 422, title: 'A message is nested too deeply' },
  invalid_idempotency_key: { status: 400, title: 'Invalid Idempotency-Key' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used for a different request' },
  invalid_disconnect: { status: 422, title: 'Invalid disconnect request' },
  pods_unreachable: { status: 503, title: 'Not every pod answered' },
  invalid_offset: { status: 400, title: 'Invalid offset' },
  invalid_reason: { status: 422, title: 'Exactly one reason is required' },
  entry_not_found: { status: 404, title: 'Entry not found' },
  invalid_limit: { status: 400, title: 'Invalid limit' },
  offset_expired: { status: 410, title: 'The entries after this offset are no longer kept' },
  offset_epoch: { status: 410, title: 'The offset belongs to a journal that no longer exists' },
  journal_unavailable: { status: 503, title: 'The journal is unavailable' },
  not_replicated: { status: 503, title: 'Too few replicas have the messages' },
  publish_unavailable: { status: 503, title: 'Publishing is unavailable' },
  internal: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, { status: number; title: string }>;

/** A stable code of {@link PROBLEMS}. */
export type ProblemCode = keyof typeof PROBLEMS;

/**
 * Why a client is refused before any work is done for it: an HTTP answer with the code in its body, which the stock client
 * reports as a `connect_error`; it then reconnects.
 */
export const REFUSALS = {
  headers_too_large: { status: 431, message: 'The headers are too large; send a smaller token or fewer cookies.' },
  origin: { status: 403, message: 'This origin is not allowed.' },
  stopping: { status: 503, retryAfter: 1, message: 'This pod is stopping; connect again.' },
  memory: { status: 503, retryAfter: 10, message: 'This pod is short of memory; try again later.' },
  recovery_unavailable: {
    status: 503,
    retryAfter: 5,
    message: 'What clients have missed cannot be looked up right now; try again later.',
  },
  max_connections: { status: 503, retryAfter: 5, message: 'This pod is full; try again later.' },
  connect_rate: { status: 503, retryAfter: 1, message: 'Too many clients are connecting at once; try again.' },
  max_connections_per_ip: { status: 429, retryAfter: 5, message: 'This address has too many connections.' },
  connect_rate_per_ip: { status: 429, retryAfter: 1, message: 'This address connects too often; try again later.' },
} as const satisfies Record<string, { status: number; retryAfter?: number; message: string }>;

/** A stable code of {@link REFUSALS}. */
export type RefusalCode = keyof typeof REFUSALS;

/**
 * Why the public port refuses a request as malformed. The answer is JSON with `code` and `message`. Sending the same
 * request again only helps after `internal`. In a long-polling session every code but `method_not_allowed` ends the
 * session, because part of it is lost; the client reconnects.
 */
export const HTTP_ERRORS = {
  bad_request: { status: 400, message: 'The request is malformed.' },
  binary_body: {
    status: 400,
    message: 'Send packets as text; encode binary packets as base64 after a "b" (Engine.IO v4).',
  },
  empty_body: { status: 400, message: 'The body is empty. Send at least one packet.' },
  overlapping_request: {
    status: 400,
    message:
      'This session already has an open request with this method. Wait for its answer before you send the next one.',
  },
  not_found: { status: 404, message: 'Not found.' },
  method_not_allowed: { status: 405, message: 'Method not allowed.' },
  length_required: {
    status: 411,
    message: 'The length of the body is missing. Send Content-Length, or Transfer-Encoding: chunked.',
  },
  body_too_large: { status: 413, message: 'The body is longer than MAX_PAYLOAD. Send less at a time.' },
  unsupported_encoding: { status: 415, message: 'Content-Encoding is not supported. Send the body uncompressed.' },
  upgrade_required: { status: 426, message: 'Send Sec-WebSocket-Version: 13; no other version is supported.' },
  internal: { status: 500, message: 'Internal error. The gateway logged the details. Try again.' },
} as const satisfies Record<string, { status: number; message: string }>;

/** A stable code of {@link HTTP_ERRORS}. */
export type HttpErrorCode = keyof typeof HTTP_ERRORS;

/**
 * Refusals of the Engine.IO protocol. The answer has Engine.IO's own number in `code`, which clients and search engines know;
 * metric and log have the name.
 */
export const ENGINE_REFUSALS = {
  transport_unknown: { number: 0, status: 400, message: 'Transport unknown' },
  session_unknown: { number: 1, status: 400, message: 'Session ID unknown' },
  bad_handshake_method: { number: 2, status: 400, message: 'Bad handshake method' },
  bad_request: { number: 3, status: 400, message: 'Bad request' },
  forbidden: { number: 4, status: 403, message: 'Forbidden' },
  protocol_unsupported: {
    number: 5,
    status: 400,
    message:
      'Unsupported protocol version: this server speaks Engine.IO 4 (EIO=4). Use socket.io-client 3 or 4, python-socketio 5, ' +
      'or another client of Socket.IO 3 or later.',
  },
} as const satisfies Record<string, { number: number; status: number; message: string }>;

/** A stable name of {@link ENGINE_REFUSALS}. */
export type EngineRefusalName = keyof typeof ENGINE_REFUSALS;

/**
 * Why a token is refused. The client gets a `connect_error` with `data.code` and does not reconnect by itself, because the
 * same token would be refused again. After `keys_unavailable` its connection is closed instead, and it does reconnect.
 */
export const TOKEN_ERRORS = {
  token_missing: 'no token was sent',
  token_malformed: 'not a signed JSON Web Token',
  token_too_large: 'longer than 8,192 characters',
  token_expired: 'the time in `exp` has passed',
  token_not_yet_valid: 'the time in `nbf` is in the future',
  token_wrong_audience: '`aud` is missing or is not `JWT_AUDIENCE`',
  token_wrong_issuer: '`iss` is missing or is not `JWT_ISSUER`',
  token_wrong_algorithm: 'unsigned, or signed with an algorithm that is not accepted',
  token_bad_signature: 'the signature is wrong',
  token_unknown_key: 'signed with a key that the issuer does not publish',
  token_bad_claims: '`exp` is missing, `sub` or `topics` has the wrong type, or a claim appears twice',
  keys_unavailable: "the issuer's keys are not available right now",
} as const satisfies Record<string, string>;

/** A stable code of {@link TOKEN_ERRORS}. */
export type TokenErrorCode = keyof typeof TOKEN_ERRORS;

/** An error meant for the caller of the admin port; becomes `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  /** Extra members of the problem document. */
  readonly members: Readonly<Record<string, unknown>>;
  /** Extra response headers. */
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param detail - what happened, which value, what to do: one or two sentences for a person
   */
  constructor(
    code: ProblemCode,
    detail: string,
    extra: { members?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(detail);
    this.code = code;
    this.members = extra.members ?? {};
    this.headers = extra.headers ?? {};
  }
}

/** An error that ends the start of the process with one clear line and no stack trace. */
export class StartError extends Error {
  override readonly name = 'StartError';
  /** Exit code of the process. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Exit codes of the process. */
export const EXIT = {
  /** Stopped on request. */
  ok: 0,
  /** Failed to start for a reason outside the configuration, such as a port that is already in use. */
  failed: 1,
  /** The configuration is invalid. */
  config: 2,
} as const;

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A failed connect to several addresses throws an AggregateError without a message.
  if (error.message === '' && error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
}
