/** A header. */
export type Line = readonly [name: string, value: string];

/** Methods that are names (RFC 9110, 9.1), known or not. */
export const METHODS = [
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'PATCH',
  'TRACE',
  'PROPFIND',
  'PURGE',
  'M-SEARCH',
  'get',
  'Post',
  'FOO',
];

/** What is no method, or of no use with a path. */
export const BAD_METHODS = ['', 'G(T', 'GE\u00ffT', 'A'.repeat(300), 'GET,POST', '\u0000', 'CONNECT'];

/** Paths that a request line may have. */
export const PATHS = [
  ['/', '/socket.io', '//socket.io/', '/socket.io/x', '/socket.io/../socket.io/', '/SOCKET.IO/', '/socket.io//'],
  [
    '/dashboard',
    '/dashboard/',
    '/dashboard/info',
    '/dashboard/signals',
    '/dashboard/assets/',
    '/dashboard/assets/../info',
  ],
  ['/dashboard/assets/none.js', '/asyncapi.json', '/openapi.json', '/healthz', '/readyz', '/metrics', '/healthz/'],
  [
    '/v1/signals',
    '/v1/status',
    '/v1/info',
    '/v1/disconnect',
    '/v1/entries/1:1',
    '/v1/entries/',
    '/v1/',
    '/v1/__proto__',
  ],
  ['/%', '/%zz', '/%00', '/%2e%2e/%2e%2e/etc/passwd', '/../../../etc/passwd', '/a#b', '/favicon.ico', '/__proto__'],
  ['/constructor', '/:sid', '/*', '/**', '/\u00e4\u00ff', '/<script>', '/"', '/\\', '/;a=b', '/toString', '/&&&'],
].flat();

/** What it may not have, or not in an ordinary request. */
export const BAD_PATHS = [
  '*',
  '',
  'socket.io/',
  'http://gateway/socket.io/',
  'gateway:3000',
  '/a b',
  '/a\u0000b',
  '/a\tb',
  '?',
  '/a\r\nb',
];

/** Values of `transport`. */
export const TRANSPORTS = [
  'polling',
  'polling',
  'websocket',
  'foo',
  '',
  '__proto__',
  'constructor',
  'webtransport',
  'POLLING',
  '%',
  'toString',
];

/** Values of `EIO`. */
export const EIOS = ['4', '4', '4', '4', '4', '3', 'x', '', '04', '4%00', '-1', '4.0'];

/** Queries that say nothing. */
export const QUERIES = [
  '?',
  '?&',
  '?=',
  '?&&&',
  '?%',
  '?%zz=%',
  '?a',
  '?__proto__=1',
  '?sid',
  '?sid=',
  '?transport',
  '?EIO',
  '??',
  '?a=b?c=d',
];

/** Origins that are on no list. */
export const ORIGINS = [
  'null',
  'NULL',
  '',
  '*',
  'x',
  'https://',
  'file://',
  'https://app.example.com/',
  'https://app.example.com, https://b',
  'é',
  '\u00ff\u00fe',
  'a'.repeat(1000),
  'https://evil.app.example.com',
  'https://app.example.com.evil.org',
];

/** Values of `X-Forwarded-For`. */
export const FORWARDED = [
  '203.0.113.5',
  '203.0.113.5:51234',
  '[2001:db8::1]:443',
  '2001:db8::1',
  'unknown',
  '_hidden',
  ',',
  ', ,',
  '999.1.1.1',
  '::1%',
  '\u00ff',
  '1.2.3.4,'.repeat(200),
  '-',
  '"[::1]"',
];

/** Values of `Authorization`. */
export const AUTHORIZATIONS = [
  'Bearer x',
  'Bearer',
  'bearer  a.b.c',
  'Basic Og==',
  'Basic \u00ff',
  'Bearer '.repeat(50),
  `Bearer ${'a'.repeat(3000)}`,
  '',
];

/** Headers that any part of the gateway, or of what is in front of it, may look at. */
export const OTHERS: readonly Line[] = [
  ['Accept-Encoding', 'gzip;q=abc, *;q=0'],
  ['Access-Control-Request-Headers', 'traceparent, x-custom'],
  ['Access-Control-Request-Headers', ', ,\u00ff,a b'],
  ['Access-Control-Request-Method', 'POST'],
  ['Connection', 'close'],
  ['Connection', 'keep-alive, \u00ff'],
  ['Content-Encoding', 'gzip'],
  ['Content-Encoding', 'identity'],
  ['Content-Type', 'application/octet-stream'],
  ['Content-Type', 'application/json'],
  ['Content-Type', 'application/json; charset=utf-16'],
  ['Content-Type', ''],
  ['Cookie', 'a=b; '.repeat(100)],
  ['Forwarded', 'for="[::1]:1";host='],
  ['Idempotency-Key', 'k'.repeat(300)],
  ['Idempotency-Key', 'x'],
  ['If-None-Match', '*, W/"x"'],
  ['Keep-Alive', 'timeout=-1'],
  ['Range', 'bytes=0-1'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate; client_max_window_bits=8; server_max_window_bits=99'],
  ['Sec-WebSocket-Protocol', 'a, b'],
  ['TE', 'trailers'],
  ['User-Agent', ';MSIE Trident/'],
  ['X-API-Key', '\u00ff'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['__proto__', 'x'],
  ['constructor', 'x'],
];

/** Lines that are no headers. */
export const BAD_LINES: readonly Line[] = [
  ['A B', 'c'],
  ['', 'c'],
  ['A', 'b\u0000c'],
  ['A', 'b\r c'],
  ['A\u00ff', 'c'],
  ['A', 'b\r\n c'],
];
