import type { Logger } from 'pino';
import type { ExtendedError } from 'socket.io';
import type { ConnectError, ConnectErrorCode } from '../contract/connect.js';
import { intersection } from '../contract/topics.js';
import type { EarlyEndReason } from '../connection-ends.js';
import type { TokenErrorCode } from '../errors.js';
import type { ErrorBoundary } from '../http/error-boundary.js';
import type { TokenVerifier, Verdict } from '../access/token-verifier.js';
import { tokenOf } from '../access/bearer.js';
import type { FeedSocket } from './feed-socket.js';
import type { RefusalFields } from '../access/refusal-log.js';
import { chooseTopics } from '../access/topic-choice.js';

/** Why a client that speaks Socket.IO already is not let in. After those of `EARLY_ENDS` its connection is closed. */
export type ConnectRefusal =
  ConnectErrorCode | Extract<EarlyEndReason, TokenErrorCode | 'memory' | 'max_connections' | 'not_joined'>;

/** How the middleware is set up. */
export interface ConnectMiddlewareOptions {
  /** Unset: nobody needs a token. */
  readonly tokens: Pick<TokenVerifier, 'verify'> | undefined;
  /** Whether there is no memory for another client: it may have connected long before it asks for its topics. */
  readonly isShort: () => boolean;
  /** Called with the connection of a client that could not be recovered, just before it is closed. */
  readonly onUnrecoverable: (connection: FeedSocket['conn']) => void;
  /** @param fields - for the log; not escaped yet */
  readonly onRefused: (code: ConnectRefusal, fields: RefusalFields) => void;
  /** Reports what the check of a token has thrown. */
  readonly boundary: Pick<ErrorBoundary, 'run'>;
  readonly log: Logger;
}

/** How often it is logged that the keys are unavailable. */
const LOG_EVERY_MS = 10_000;

/** The middleware that every socket passes, those that are recovered too: one socket a connection, a good token, good topics. */
export class ConnectMiddleware {
  readonly #options: ConnectMiddlewareOptions;
  /** Connections that have a socket, or are about to. */
  readonly #occupied = new WeakSet<object>();
  #nextLog = 0;

  constructor(options: ConnectMiddlewareOptions) {
    this.#options = options;
  }

  /** Lets a socket in, refuses it with a code, or closes its connection so that it reconnects. */
  admit(socket: FeedSocket, next: (error?: ExtendedError) => void): void {
    if (socket.data.retry === true) {
      this.#options.onUnrecoverable(socket.conn);
      this.#sendAway(socket, next);
      return;
    }
    if (this.#options.isShort()) {
      this.#options.onRefused('memory', {});
      this.#sendAway(socket, next);
      return;
    }
    // A second socket on one connection would get everything twice over the same link.
    if (this.#occupied.has(socket.conn)) {
      this.#refuse('already_connected', 'this connection has a socket already', next);
      return;
    }
    // Before the token is checked, which takes a while: the next socket must not slip in meanwhile.
    this.#occupied.add(socket.conn);
    const { tokens, boundary } = this.#options;
    if (tokens === undefined) {
      this.#giveTopics(socket, next);
      return;
    }
    const token = tokenOf(socket.handshake);
    // It is of no further use, and a secret that is not kept cannot leak.
    delete socket.handshake.auth['token'];
    boundary.run(
      { stage: 'promise', subject: () => `client ${socket.id}` },
      async () => this.#onVerdict(socket, await tokens.verify(token), next),
      // It would wait for an answer until CONNECT_TIMEOUT.
      () => this.#sendAway(socket, next),
    );
  }

  /** Frees the connection of a socket that is gone. */
  leave(socket: FeedSocket): void {
    this.#occupied.delete(socket.conn);
  }

  #onVerdict(socket: FeedSocket, verdict: Verdict, next: (error?: ExtendedError) => void): void {
    if (verdict.ok) {
      const { user, allowed, expiresAtMs } = verdict.identity;
      Object.assign(socket.data, { expiresAtMs, ...(user !== undefined && { user }), ...(allowed && { allowed }) });
      this.#giveTopics(socket, next);
      return;
    }
    const { code, message } = verdict;
    if (code !== 'keys_unavailable') {
      this.leave(socket);
      this.#refuse(code, message, next);
      return;
    }
    this.#options.onRefused(code, { message });
    const now = Date.now();
    if (now >= this.#nextLog) {
      this.#nextLog = now + LOG_EVERY_MS;
      this.#options.log.warn(
        { reason: message },
        'the keys of the token issuer are unavailable; clients are turned away',
      );
    }
    this.#sendAway(socket, next);
  }

  #giveTopics(socket: FeedSocket, next: (error?: ExtendedError) => void): void {
    const { data, handshake } = socket;
    const { allowed } = data;
    const choice = chooseTopics((handshake.auth as Record<string, unknown>)['topics'], allowed);
    if (!choice.ok) {
      this.leave(socket);
      this.#refuse(choice.code, choice.message, next);
      return;
    }
    // What was chosen before may be more than a newer token allows.
    if (data.topics === undefined) data.topics = choice.topics;
    else if (allowed !== undefined) data.topics = intersection(data.topics, allowed);
    next();
  }

  /** The stock client reconnects after a closed transport, and not after a connect_error. */
  #sendAway(socket: FeedSocket, next: (error?: ExtendedError) => void): void {
    socket.conn.close(true);
    next();
  }

  #refuse(code: ConnectErrorCode, message: string, next: (error?: ExtendedError) => void): void {
    this.#options.onRefused(code, { message });
    const data: ConnectError['data'] = { code };
    next(Object.assign(new Error(message), { data }));
  }
}
