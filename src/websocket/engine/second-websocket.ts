import type { WebSocket } from 'uWebSockets.js';
import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';

/** User data of a WebSocket that asked for a session which has one already, or is trying one out. */
export interface SecondWebSocket {
  readonly isSecond: true;
}

/** One for all: nothing is kept of such a WebSocket. */
const SECOND: SecondWebSocket = Object.freeze({ isSecond: true });

/** Violates a policy (RFC 6455, section 7.4.1). */
const CLOSE_CODE = 1008;

/** The code under which it is counted, and the reason that its client sees. */
const CODE = 'bad_request';

/** Accepts a second WebSocket for a session, which is closed as soon as it is open, and counts it as refused. */
export function openSecond(res: GuardedResponse, req: GuardedRequest, context: never): void {
  res.countRefusal(CODE, 101);
  const { key, protocol } = req.head.webSocket;
  res.upgrade(SECOND, key, protocol, '', context);
}

/** Closes a second WebSocket: its session stays with the first. */
export function closeSecond(ws: WebSocket<unknown>): void {
  ws.end(CLOSE_CODE, CODE);
}
