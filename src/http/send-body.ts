import type { HttpResponse } from 'uWebSockets.js';

/**
 * Ends a response with a body, of which only as much is copied as the connection takes now; the rest follows when it is
 * read.
 *
 * uWebSockets.js answers requests that come one behind the other on a connection whether or not the answers are read. What
 * `end` is given waits in memory then, as often as it is asked for. While a response has not ended, the next request
 * closes the connection instead.
 *
 * @returns whether it has ended; if not, the response MUST have a handler for `onAborted` when its own handler returns
 */
export function sendBody(res: HttpResponse, body: string | Uint8Array): boolean {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  if (bytes.byteLength === 0) {
    res.end();
    return true;
  }
  const [, isDone] = res.tryEnd(bytes, bytes.byteLength);
  if (isDone) return true;
  res.onWritable((offset) => res.tryEnd(bytes.subarray(offset), bytes.byteLength)[0]);
  return false;
}
