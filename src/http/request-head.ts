import type { HttpRequest } from 'uWebSockets.js';

/** What stands between a name and its value and after it: `: ` and the end of the line. */
const AROUND_HEADER = 4;
/** What a request line has beside method, path and query: two spaces, ` HTTP/1.1` without its space, the end of the line. */
const AROUND_REQUEST_LINE = 12;

/** What is wrong with the head of a request; a code of `errors.ts`. */
export type HeadDefect = 'headers_too_large' | 'bad_request';

/** Headers that come once at most: with two, this gateway and whatever stands before it may each believe another one. */
const ONCE = new Set(['content-length', 'transfer-encoding', 'host', 'origin', 'authorization']);

/**
 * Looks at the head of a request once, before any handler sees it.
 *
 * Its size is that of the request line and every header as they come over the wire. What uWebSockets.js takes off the ends
 * of values (white space, bytes beyond ASCII) is not counted, and a character counts as one byte; it bounds both by
 * counting bytes itself: see {@link allowHeaders}. Costs about 1.1 µs for the 12 headers of a browser.
 *
 * A length that is said twice, or beside a transfer coding, and a coding that is not decoded here are refused: whoever
 * believes another of them sees another request (RFC 9112, 6.3 and 11.2).
 *
 * @param maxBytes - longest head
 */
export function defectOf(req: HttpRequest, maxBytes: number): HeadDefect | undefined {
  // `undefined`, whatever the typings say, where the path has no `?`.
  const query = req.getQuery() as string | undefined;
  let size = AROUND_REQUEST_LINE + req.getMethod().length + req.getUrl().length;
  if (query !== undefined && query !== '') size += query.length + 1;
  let seen = '';
  let isMalformed = false;
  req.forEach((name, value) => {
    size += name.length + value.length + AROUND_HEADER;
    if (!ONCE.has(name)) return;
    if (seen.includes(` ${name} `)) isMalformed = true;
    seen += ` ${name} `;
    if (name === 'transfer-encoding' && value.toLowerCase() !== 'chunked') isMalformed = true;
  });
  if (size > maxBytes) return 'headers_too_large';
  const isFramedTwice = seen.includes(' content-length ') && seen.includes(' transfer-encoding ');
  return isMalformed || isFramedTwice ? 'bad_request' : undefined;
}

/** How many times `MAX_HEADER_BYTES` uWebSockets.js is let read, so that what is beyond our limit gets an answer of ours. */
const HEADROOM = 2;

/** The variable that uWebSockets.js reads when its binary is loaded, and never again: the longest head, in bytes. */
const BINARY_LIMIT = 'UWS_HTTP_MAX_HEADERS_SIZE';

/**
 * Has uWebSockets.js take heads of twice `MAX_HEADER_BYTES`; what is longer it answers itself, with a bare 431. To be
 * called before its binary is loaded. What an operator has set stays when it is more.
 *
 * @param env - `process.env`
 */
export function allowHeaders(maxHeaderBytes: number, env: Record<string, string | undefined>): void {
  const set = env[BINARY_LIMIT] ?? '';
  // Anything that is not a number would be 0 to the binary, and every request refused.
  const wanted = /^\d{1,9}$/.test(set) ? Number(set) : 0;
  env[BINARY_LIMIT] = String(Math.max(maxHeaderBytes * HEADROOM, wanted));
}
