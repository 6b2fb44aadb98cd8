import type { GuardedRequest } from '../../http/guarded-request.js';
import type { RequestHead } from '../../http/request-head.js';

/** What is kept of the request that opened a connection, in the shape in which engine.io keeps it. */
export interface HandshakeRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly _query: Readonly<Record<string, string>>;
  readonly connection: object;
}

/** Where clients ask for everything. */
export const SOCKET_PATH = '/socket.io/';

/** The same, with the path as some clients and proxies write it. */
export const SOCKET_PATHS = [SOCKET_PATH, '/socket.io'] as const;

/** Headers that middlewares may look at, until the client is connected. */
function keptHeaders(head: RequestHead): Record<string, string> {
  const { authorization, cookie, host, origin, userAgent, forwardedFor } = head;
  const headers: Record<string, string> = { host };
  if (authorization !== '') headers['authorization'] = authorization;
  if (cookie !== '') headers['cookie'] = cookie;
  if (origin !== '') headers['origin'] = origin;
  if (userAgent !== '') headers['user-agent'] = userAgent;
  if (forwardedFor !== '') headers['x-forwarded-for'] = forwardedFor;
  return headers;
}

/** Shared by all connections: a stand-in for what is not kept. */
const NONE: Readonly<Record<string, string>> = Object.freeze({});

/** The query of the stock client when the page adds nothing to it. */
const USUAL = 'EIO=4&transport=websocket';
const USUAL_QUERY = Object.freeze({ EIO: '4', transport: 'websocket' });

// engine.io refuses an origin with other characters (RFC 9110, field values).
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Reads a request for a WebSocket, if it is one that begins a session of Engine.IO v4 and asks for nothing unusual.
 *
 * @returns `undefined` for every other request; engine.io answers those: upgrades of a session, and what is refused
 */
export function readHandshake(req: GuardedRequest): HandshakeRequest | undefined {
  const text = req.getQuery();
  let query: Record<string, string> = USUAL_QUERY;
  if (text !== USUAL) {
    query = Object.fromEntries(new URLSearchParams(text));
    if (query['EIO'] !== '4' || query['transport'] !== 'websocket') return undefined;
    if (query['sid'] || query['b64']) return undefined;
  }
  if (!HEADER_VALUE.test(req.head.origin)) return undefined;
  return { method: 'GET', url: SOCKET_PATH, headers: keptHeaders(req.head), _query: query, connection: NONE };
}

const USUAL_REQUEST: HandshakeRequest = Object.freeze({
  method: 'GET',
  url: SOCKET_PATH,
  headers: NONE,
  _query: USUAL_QUERY,
  connection: NONE,
});

/** The same request without the headers, which are most of it; one for all clients that asked the usual. */
export function withoutHeaders(request: HandshakeRequest): HandshakeRequest {
  return request._query === USUAL_QUERY ? USUAL_REQUEST : { ...request, headers: NONE };
}
