/**
 * The registry of errors that leave the process. A code never changes its meaning; clients may switch on it.
 */
export const PROBLEMS = {
  not_found: { status: 404, title: 'There is nothing at this path' },
  method_not_allowed: { status: 405, title: 'This path does not take this method' },
  unauthorized: { status: 401, title: 'A valid API key is needed' },
  forbidden: { status: 403, title: 'This caller may not use the publish API' },
  body_too_large: { status: 413, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  invalid_encoding: { status: 400, title: 'The body is not valid UTF-8' },
  invalid_json: { status: 400, title: 'The body is not JSON' },
  empty_batch: { status: 422, title: 'The batch is empty' },
  batch_too_long: { status: 422, title: 'The batch has too many items' },
  message_too_large: { status: 413, title: 'A message is too large' },
  invalid_signal: { status: 422, title: 'A signal does not have the shape of a signal' },
  invalid_status: { status: 422, title: 'A status does not have the shape of a status' },
  invalid_offset: { status: 400, title: 'The offset is not an offset' },
  invalid_limit: { status: 400, title: 'The limit is not a number in range' },
  offset_expired: { status: 410, title: 'The entries after the offset are no longer kept' },
  offset_epoch: { status: 410, title: 'The offset is of a journal that is no longer there' },
  journal_unavailable: { status: 503, title: 'The journal can not be read right now' },
  publish_unavailable: { status: 503, title: 'Nothing can be published right now' },
  internal: { status: 500, title: 'The gateway failed to answer' },
} as const satisfies Record<string, { status: number; title: string }>;

/** A stable code of {@link PROBLEMS}. */
export type ProblemCode = keyof typeof PROBLEMS;

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
