import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { sendBody } from '../send-body.js';
import { HEAD_BYTES, TOO_LARGE } from './oversized.js';

/** What is longer is not waited for; Engine.IO answers 413 at once and ends the session. */
const MAX_PASSED_BYTES = 16 * 1024 * 1024;

/** A POST of long-polling that is too large. */
interface OversizedBody {
  /** Bytes that it announces. */
  readonly bytes: number;
  /** Headers of the answer. */
  readonly headers: Iterable<readonly [string, string]>;
  /**
   * Refuses the message in it.
   *
   * @returns whether its client was answered; if not, its session is to be ended here
   */
  readonly refuse: (head: string) => boolean;
}

/** The length of a body that is too large for long-polling and can yet be refused with a code; 0 for every other request. */
export function oversizedBytes(req: HttpRequest, maxPayload: number): number {
  if (req.getMethod() !== 'post') return 0;
  const bytes = Number(req.getHeader('content-length'));
  return bytes > maxPayload && bytes <= MAX_PASSED_BYTES ? bytes : 0;
}

/**
 * Lets a body that is too large pass by, of which nothing is kept but its beginning, and answers it.
 *
 * Engine.IO would answer 413 and end the session. To the stock client that is an error of the transport, after which it
 * connects again and sends the same again, for ever.
 */
export function passBy(res: HttpResponse, { bytes, headers, refuse }: OversizedBody): void {
  let head = Buffer.alloc(0);
  let isAborted = false;
  res.onAborted(() => {
    isAborted = true;
  });
  res.onData((chunk, isLast) => {
    if (isAborted) return;
    if (head.length < HEAD_BYTES) {
      head = Buffer.concat([head, Buffer.from(chunk.slice(0, HEAD_BYTES - head.length))]);
    }
    if (!isLast) return;
    const isAnswered = refuse(head.toString());
    res.cork(() => {
      res.writeStatus(isAnswered ? '200 OK' : '413 Payload Too Large');
      res.writeHeader('Content-Type', isAnswered ? 'text/html' : 'application/json');
      for (const [name, value] of headers) res.writeHeader(name, value);
      const message = `${bytes} bytes in one message are more than are taken`;
      sendBody(res, isAnswered ? 'ok' : JSON.stringify({ code: TOO_LARGE, message }));
    });
  });
}
