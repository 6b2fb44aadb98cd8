import type { SubscribeErrorCode } from '../contract/events.js';
import type { TokenErrorCode } from '../errors.js';

/** Why a {@link SignalClient} or one of its iterators ended; a code never changes its meaning. */
export type SignalErrorCode =
  /** The gateway refuses the token, or the topics. */
  | TokenErrorCode
  | SubscribeErrorCode
  /** The option `token` is a function and failed. */
  | 'no_token'
  /** The gateway ended the connection for good. */
  | 'disconnected'
  /** As many attempts to connect failed as `socket.reconnectionAttempts` allows. */
  | 'unreachable'
  /** More signals wait in an iterator than its `limit`. */
  | 'buffer_full'
  /** The gateway refuses the client for a reason that this version does not know. */
  | (string & {});

/** An error with a stable code. */
export class SignalError extends Error {
  override readonly name = 'SignalError';
  readonly code: SignalErrorCode;

  constructor(code: SignalErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
