/**
 * The registry of errors that leave the process. A code never changes its meaning; clients may switch on it.
 */
export const PROBLEMS = {
  not_found: { status: 404, title: 'There is nothing at this path' },
  method_not_allowed: { status: 405, title: 'This path does not take this method' },
  unauthorized: { status: 401, title: 'A valid API key is needed' },
  forbidden: { status: 403, title: 'This caller may not use the publish API' },
  publish_token_required: { status: 401, title: 'Publishing from the dashboard needs its link' },
  publish_token_wrong: { status: 401, title: 'The token is not the one of this gateway' },
  request_timeout: { status: 408, title: 'The request body came too slowly' },
  headers_too_large: { status: 431, title: 'Request headers too large' },
  body_too_large: { status: 413, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  unsupported_encoding: { status: 415, title: 'The body must not be compressed' },
  invalid_encoding: { status: 400, title: 'The body is not valid UTF-8' },
  invalid_json: { status: 400, title: 'The body is not JSON' },
  empty_batch: { status: 422, title: 'The batch is empty' },
  batch_too_long: { status: 422, title: 'The batch has too many items' },
  message_too_large: { status: 413, title: 'A message is too large' },
  invalid_signal: { status: 422, title: 'A signal does not have the shape of a signal' },
  invalid_status: { status: 422, title: 'A status does not have the shape of a status' },
  duplicate_field: { status: 422, title: 'A field that may stand once stands twice' },
  lone_surrogate: { status: 422, title: 'A name has half of a surrogate pair' },
  too_deep: { status: 422, title: 'A message nests too deep' },
  invalid_idempotency_key: { status: 400, title: 'The Idempotency-Key is not one' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used for another request' },
  invalid_disconnect: { status: 422, title: 'The request does not say whom to disconnect' },
  pods_unreachable: { status: 503, title: 'Not every pod has answered' },
  invalid_offset: { status: 400, title: 'The offset is not an offset' },
  invalid_reason: { status: 422, title: 'A reason is needed, once' },
  entry_not_found: { status: 404, title: 'There is no such entry' },
  invalid_limit: { status: 400, title: 'The limit is not a number in range' },
  offset_expired: { status: 410, title: 'The entries after the offset are no longer kept' },
  offset_epoch: { status: 410, title: 'The offset is of a journal that is no longer there' },
  journal_unavailable: { status: 503, title: 'The journal can not be read right now' },
  publish_unavailable: { status: 503, title: 'Nothing can be published right now' },
  internal: { status: 500, title: 'The gateway failed to answer' },
} as const satisfies Record<string, { status: number; title: string }>;

/** A stable code of {@link PROBLEMS}. */
export type ProblemCode = keyof typeof PROBLEMS;

/**
 * Why a client is refused before any work is done for it: an HTTP answer with the code in its body, which the stock client
 * takes for a `connect_error` and comes again after.
 */
export const REFUSALS = {
  headers_too_large: { status: 431, message: 'The headers are too large; send a smaller token or fewer cookies.' },
  origin: { status: 403, message: 'This origin is not allowed.' },
  stopping: { status: 503, retryAfter: 1, message: 'This pod is stopping; connect again.' },
  memory: { status: 503, retryAfter: 10, message: 'This pod is short of memory; try again.' },
  max_connections: { status: 503, retryAfter: 5, message: 'This pod has all the connections it takes; try again.' },
  connect_rate: { status: 503, retryAfter: 1, message: 'Too many clients connect at once; try again.' },
  max_connections_per_ip: { status: 429, retryAfter: 5, message: 'This address has all the connections it may have.' },
  connect_rate_per_ip: { status: 429, retryAfter: 1, message: 'This address connects too often; try again.' },
} as const satisfies Record<string, { status: number; retryAfter?: number; message: string }>;

/** A stable code of {@link REFUSALS}. */
export type RefusalCode = keyof typeof REFUSALS;

/**
 * Why a request to the public port is refused for what it is. The answer is JSON with `code` and `message`; to send the
 * same again helps nobody but after `internal`. Where it belongs to a session of long-polling, all but
 * `method_not_allowed` end that, of which a part is lost then; the client connects again.
 */
export const HTTP_ERRORS = {
  bad_request: { status: 400, message: 'The request is malformed.' },
  binary_body: {
    status: 400,
    message: 'Send packets as text, binary ones as base64 with a "b" before it (Engine.IO v4), not as octets.',
  },
  empty_body: { status: 400, message: 'The body is empty. Send at least one packet.' },
  overlapping_request: {
    status: 400,
    message: 'The session has a request of this method open. Wait for its answer before you send the next one.',
  },
  not_found: { status: 404, message: 'There is nothing here.' },
  method_not_allowed: { status: 405, message: 'This path does not take this method.' },
  length_required: {
    status: 411,
    message: 'The request announces no body. Send Content-Length, or Transfer-Encoding: chunked.',
  },
  body_too_large: { status: 413, message: 'The body is longer than MAX_PAYLOAD. Send less at once.' },
  unsupported_encoding: { status: 415, message: 'Content-Encoding is not supported. Send the body as it is.' },
  upgrade_required: { status: 426, message: 'Send Sec-WebSocket-Version: 13; no other version is spoken here.' },
  internal: { status: 500, message: 'Something went wrong in the gateway; its log has the details. Try again.' },
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
 * Why a token is not taken. The client gets a `connect_error` with `data.code` and does not come again by itself, since the
 * same token would be refused again; after `keys_unavailable` its connection is closed instead, and it does.
 */
export const TOKEN_ERRORS = {
  token_missing: 'no token was sent',
  token_malformed: 'not a signed JSON Web Token',
  token_too_large: 'longer than 8,192 characters',
  token_expired: 'the time in `exp` is over',
  token_not_yet_valid: 'the time in `nbf` has not come',
  token_wrong_audience: '`aud` is missing or is not `JWT_AUDIENCE`',
  token_wrong_issuer: '`iss` is missing or is not `JWT_ISSUER`',
  token_wrong_algorithm: 'signed with an algorithm that is not taken, or not at all',
  token_bad_signature: 'the signature is wrong',
  token_unknown_key: 'signed with a key that the issuer does not publish',
  token_bad_claims: '`exp` is missing, `sub` or `topics` has a wrong shape, or a claim stands twice',
  keys_unavailable: "the issuer's keys can not be had right now",
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
  /** Stopped as asked. */
  ok: 0,
  /** Failed at start for a reason outside the configuration, such as a port that is taken. */
  failed: 1,
  /** The configuration is wrong. */
  config: 2,
} as const;

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Connection errors of several addresses come as an AggregateError without a text of its own.
  if (error.message === '' && error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
}
