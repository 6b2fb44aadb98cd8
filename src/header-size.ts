import type { HttpRequest } from 'uWebSockets.js';

/** What stands between a name and its value and after it: `: ` and the end of the line. */
const AROUND_HEADER = 4;
/** What a request line has beside method, path and query: two spaces, ` HTTP/1.1` without its space, the end of the line. */
const AROUND_REQUEST_LINE = 12;

/**
 * How long the head of a request is: the request line and every header, as they come over the wire. What uWebSockets.js
 * takes off the ends of values (white space, bytes beyond ASCII) is not counted, and a character counts as one byte; it
 * bounds both by counting bytes itself: see {@link allowHeaders}. Costs about 1.1 µs for the 12 headers of a browser.
 */
export function headSize(req: HttpRequest): number {
  // `undefined`, whatever the typings say, where the path has no `?`.
  const query = req.getQuery() as string | undefined;
  let size = AROUND_REQUEST_LINE + req.getMethod().length + req.getUrl().length;
  if (query !== undefined && query !== '') size += query.length + 1;
  req.forEach((name, value) => {
    size += name.length + value.length + AROUND_HEADER;
  });
  return size;
}

/** Whether the head of a request is longer than `MAX_HEADER_BYTES`: it is to be answered with 431 and `headers_too_large`. */
export function isHeadTooLarge(req: HttpRequest, maxHeaderBytes: number): boolean {
  return headSize(req) > maxHeaderBytes;
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
