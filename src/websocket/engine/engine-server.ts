import { type BaseServer, type Socket as Connection, uServer } from 'engine.io';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import type { FastServer } from './fast-server.js';
import { EngineServerBase, insideOf, preparedOf } from './internals.js';
import { PollingTransport } from './polling-transport.js';

/** engine.io's server, which counts and closes our connections too. */
export class EngineServer extends EngineServerBase {
  /** Where WebSockets are served: the connections whose session began on one. */
  fast: FastServer | undefined = undefined;
  /** Requests for a second WebSocket of their session. */
  readonly #second = new WeakSet<object>();

  /** The sessions of engine.io's own. */
  sessions(): Connection[] {
    return Object.values(this.clients);
  }

  /** A session of engine.io's own; `undefined` if there is none with this id. */
  session(sid: string): Connection | undefined {
    return Object.hasOwn(this.clients, sid) ? this.clients[sid] : undefined;
  }

  /** Counts a connection of ours that was opened or closed. */
  count(change: 1 | -1): void {
    this.clientsCount += change;
  }

  /** Whether a request that `handleUpgrade` has left unanswered is one for a second WebSocket of its session. */
  isSecondWebSocket(req: object): boolean {
    return this.#second.has(req);
  }

  override close(): this {
    this.fast?.close();
    return super.close();
  }

  // All lines of `X-Forwarded-For` as one; of a header that comes more than once the base class keeps the last.
  protected override prepare(req: GuardedRequest, res: GuardedResponse): void {
    const prepared: GuardedRequest = req;
    super.prepare(prepared, res);
    const forwarded = req.head.forwardedFor;
    if (forwarded !== '') prepared.headers['x-forwarded-for'] = forwarded;
  }

  // The base class lets two requests pass: it leaves a plain request, for a session that is on a WebSocket, without an
  // answer, and resets a second WebSocket for a session.
  protected override verify(...[req, upgrade, done]: Parameters<BaseServer['verify']>): void | boolean {
    return super.verify(req, upgrade, (code, context) => {
      const { sid = '', transport } = req._query;
      if (code !== undefined) done(code, context);
      else if (upgrade && this.#hasWebSocket(sid)) this.#second.add(req);
      else if (!upgrade && transport === 'websocket') {
        done(uServer.errors.BAD_REQUEST, { name: 'TRANSPORT_MISMATCH' });
      } else done();
    });
  }

  protected override createTransport(...[name, req]: Parameters<BaseServer['createTransport']>): unknown {
    return name === 'polling' ? new PollingTransport(preparedOf(req)) : super.createTransport(name, req);
  }

  #hasWebSocket(sid: string): boolean {
    const session = this.session(sid);
    if (session === undefined) return false;
    const { upgrading, upgraded } = insideOf(session);
    return upgrading || upgraded;
  }
}
