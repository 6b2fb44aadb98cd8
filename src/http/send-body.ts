import type { HttpResponse } from 'uWebSockets.js';

/**
 * Ends a response with a body. Only what the connection takes now is copied; the rest follows as the client reads.
 *
 * uWebSockets.js answers pipelined requests whether or not the answers are read: what is given to `end` waits in memory,
 * once for each request. While a response has not ended, the next request closes the connection instead.
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
