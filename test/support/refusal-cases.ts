import { HttpExchange } from './http-exchange.js';
import { frame } from './hostile.js';
import type { Pod } from './pod.js';
import { type StrictRequest, WEBSOCKET, strictRequest } from './strict-request.js';

/** The origin that a list has, and one that it does not. */
export const LISTED = 'https://app.example.com';
export const FOREIGN = 'https://evil.example.org';

/** How a request comes. */
export type Way = 'a poll' | 'a POST of polling' | 'an upgrade to WebSocket' | 'a plain request';

/** What there is of the session that a request names. */
type Session = 'none' | 'polling' | 'waiting' | 'upgraded';

/** A request that is refused for what it is, on a pod that is at ease. */
export interface RefusalCase {
  readonly way: Way;
  readonly what: string;
  readonly status: number;
  /** What the body may have as `code`: Engine.IO's own number where there is one. */
  readonly code: string | number;
  /** Label of the metric, and field of the log: the code, or a name for Engine.IO's number. */
  readonly reason: string;
  /** What the text for a person names. @default anything */
  readonly says?: RegExp;
  /** @default none */
  readonly session?: Session;
  /** Methods that `Allow` names. */
  readonly allow?: readonly string[];
  request(sid: string): StrictRequest;
}

/** Path and query of Engine.IO. */
export function engine(query: string): string {
  return `/socket.io/?${query}`;
}

const POLLING = 'EIO=4&transport=polling';
const SOCKET = 'EIO=4&transport=websocket';
/** Over the `MAX_PAYLOAD` of the pods that are asked. */
export const LIMITED = { MAX_PAYLOAD: '16384' };
const LONG = 'x'.repeat(20_000);
/** Over the default of `MAX_HEADER_BYTES`, 20,480, and under what uWebSockets.js refuses by itself. */
const LONG_HEADER = { 'X-Long': 'x'.repeat(24_000) };
/** How a refusal is told of that has a code of ours. */
function coded(status: number, code: string): Pick<RefusalCase, 'status' | 'code' | 'reason'> {
  return { status, code, reason: code };
}

const BAD_REQUEST = { status: 400, code: 3, reason: 'bad_request' } as const;

/** What Engine.IO does not know, the same on every transport: query, number, reason. */
const UNKNOWN = [
  ['a transport that there is not', 'EIO=4&transport=foo', 0, 'transport_unknown'],
  ['the transport "__proto__"', 'EIO=4&transport=__proto__', 0, 'transport_unknown'],
  ['a query without a word', '', 0, 'transport_unknown'],
] as const;

function ofEngine(way: Way, send: (target: string) => StrictRequest): RefusalCase[] {
  const transport = way === 'an upgrade to WebSocket' ? SOCKET : POLLING;
  const rows = [
    ...UNKNOWN,
    ['a session that there is not', `${transport}&sid=none`, 1, 'session_unknown'],
    ['the session "__proto__"', `${transport}&sid=__proto__`, 1, 'session_unknown'],
  ] as const;
  return rows.map(([what, query, code, reason]) => ({
    way,
    what,
    status: 400,
    code,
    reason,
    request: () => send(engine(query)),
  }));
}

const poll = (target: string): StrictRequest => ({ target });
const post = (target: string): StrictRequest => ({ method: 'POST', target, body: '40' });
const upgrade = (target: string): StrictRequest => ({ target, headers: WEBSOCKET });

/** Versions of Engine.IO that are not spoken: what clients of Socket.IO 2 send, none, and one that does not exist. */
const OTHER_VERSIONS = [
  ['version 3 of Engine.IO', 'EIO=3&'],
  ['no version of Engine.IO', ''],
  ['version 5 of Engine.IO', 'EIO=5&'],
] as const;

function otherVersions(way: Way, send: (target: string) => StrictRequest, query: string): RefusalCase[] {
  const expected = {
    status: 400,
    code: 5,
    reason: 'protocol_unsupported',
    says: /\bsocket\.io-client 3 or 4\b/,
  } as const;
  return OTHER_VERSIONS.map(([what, version]) => ({
    way,
    what,
    ...expected,
    request: () => send(engine(version + query)),
  }));
}

function tooLongHead(way: Way, send: (target: string) => StrictRequest, query: string): RefusalCase {
  return {
    way,
    what: '24,000 bytes of headers',
    status: 431,
    code: 'headers_too_large',
    reason: 'headers_too_large',
    request: () => {
      const { headers, ...request } = send(engine(query));
      return { ...request, headers: { ...headers, ...LONG_HEADER } };
    },
  };
}

const POLLS: readonly RefusalCase[] = [
  ...ofEngine('a poll', poll),
  ...otherVersions('a poll', poll, 'transport=polling'),
  tooLongHead('a poll', poll, POLLING),
  {
    way: 'a poll',
    what: 'no query and no question mark',
    status: 400,
    code: 0,
    reason: 'transport_unknown',
    request: () => poll('/socket.io/'),
  },
  { way: 'a poll', what: 'the transport of a WebSocket', ...BAD_REQUEST, request: () => poll(engine(SOCKET)) },
  {
    way: 'a poll',
    what: 'another one that waits',
    ...coded(400, 'overlapping_request'),
    session: 'waiting',
    request: (sid) => poll(engine(`${POLLING}&sid=${sid}`)),
  },
  {
    way: 'a poll',
    what: 'a session that is on a WebSocket',
    ...BAD_REQUEST,
    session: 'upgraded',
    request: (sid) => poll(engine(`${POLLING}&sid=${sid}`)),
  },
  ...['PUT', 'DELETE', 'PATCH', 'PROPFIND', 'FOO'].map((method): RefusalCase => ({
    way: 'a poll',
    what: `the method ${method}`,
    status: 405,
    code: 'method_not_allowed',
    reason: 'method_not_allowed',
    session: 'polling',
    allow: ['GET', 'POST', 'OPTIONS'],
    request: (sid) => ({ method, target: engine(`${POLLING}&sid=${sid}`) }),
  })),
];

/** A POST to a session that is there. */
function posted(
  what: string,
  expected: Pick<RefusalCase, 'status' | 'code' | 'reason'>,
  more: Partial<StrictRequest>,
): RefusalCase {
  const request = (sid: string): StrictRequest => ({
    method: 'POST',
    target: engine(`${POLLING}&sid=${sid}`),
    ...more,
  });
  return { way: 'a POST of polling', what, ...expected, session: 'polling', request };
}

const TOO_LARGE = coded(413, 'body_too_large');
const ENCODED = coded(415, 'unsupported_encoding');

const POSTS: readonly RefusalCase[] = [
  ...ofEngine('a POST of polling', post),
  tooLongHead('a POST of polling', post, `${POLLING}&sid=none`),
  {
    way: 'a POST of polling',
    what: 'no session',
    status: 400,
    code: 2,
    reason: 'bad_handshake_method',
    request: () => post(engine(POLLING)),
  },
  posted('no body announced', coded(411, 'length_required'), {}),
  posted('an empty body', coded(400, 'empty_body'), { headers: { 'Content-Length': '0' } }),
  posted('bytes of another content type', coded(400, 'binary_body'), {
    body: '40',
    headers: { 'Content-Type': 'application/octet-stream' },
  }),
  posted('a body over MAX_PAYLOAD', TOO_LARGE, { body: LONG }),
  posted('chunks over MAX_PAYLOAD', TOO_LARGE, {
    body: `4e20\r\n${LONG}\r\n0\r\n\r\n`,
    headers: { 'Transfer-Encoding': 'chunked' },
  }),
  posted('a body in gzip', ENCODED, { body: '40', headers: { 'Content-Encoding': 'gzip' } }),
  posted('a body in br, then gzip', ENCODED, { body: '40', headers: { 'Content-Encoding': 'br, gzip' } }),
];

const UPGRADES: readonly RefusalCase[] = [
  ...ofEngine('an upgrade to WebSocket', upgrade),
  ...otherVersions('an upgrade to WebSocket', upgrade, 'transport=websocket'),
  tooLongHead('an upgrade to WebSocket', upgrade, SOCKET),
  {
    way: 'an upgrade to WebSocket',
    what: 'the transport of polling',
    ...BAD_REQUEST,
    request: () => upgrade(engine(POLLING)),
  },
];

const NOT_FOUND = coded(404, 'not_found');

const PLAIN: readonly RefusalCase[] = [
  ...['/nothing', '/socket.io/x', '//socket.io/', '/v1/signals', '/metrics', '/%', '/__proto__'].map(
    (target): RefusalCase => ({
      way: 'a plain request',
      what: `nothing at ${target}`,
      ...NOT_FOUND,
      request: () => poll(target),
    }),
  ),
  { way: 'a plain request', what: 'nothing to POST to', ...NOT_FOUND, request: () => post('/nothing') },
  { way: 'a plain request', what: 'no WebSocket there', ...NOT_FOUND, request: () => upgrade('/nothing') },
  {
    way: 'a plain request',
    what: 'a POST to what is only read',
    status: 405,
    code: 'method_not_allowed',
    reason: 'method_not_allowed',
    allow: ['GET'],
    request: () => post('/dashboard/info'),
  },
];

/** Every refusal of a request for what it is. */
export const REFUSAL_CASES: readonly RefusalCase[] = [...POLLS, ...POSTS, ...UPGRADES, ...PLAIN];

/** Brings about what a request needs. @returns its session id */
export async function sessionFor(pod: Pod, session: Session, hold: (exchange: HttpExchange) => void): Promise<string> {
  if (session === 'none') return '';
  const { body } = await strictRequest(pod.port, { target: engine(POLLING) });
  const { sid } = JSON.parse(body.toString().slice(1)) as { sid: string };
  if (session === 'polling') return sid;
  const exchange = await HttpExchange.open(pod.port);
  hold(exchange);
  const isUpgrade = session === 'upgraded';
  const lines = Object.entries({ Host: 'gateway', ...(isUpgrade ? WEBSOCKET : {}) }).map((pair) => pair.join(': '));
  await exchange.send(
    Buffer.from(
      `GET ${engine(`${isUpgrade ? SOCKET : POLLING}&sid=${sid}`)} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`,
    ),
  );
  if (isUpgrade) {
    await exchange.answer('GET', 5000);
    // As a client does that changes over to it.
    await exchange.send(frame(Buffer.from('2probe')), frame(Buffer.from('5')));
  }
  return sid;
}
