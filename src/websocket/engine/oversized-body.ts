import type { GuardedRequest } from '../../http/guarded-request.js';
import type { GuardedResponse } from '../../http/guarded-response.js';
import { HEAD_BYTES } from './oversized.js';

/** A longer body is not waited for; Engine.IO answers 413 at once and ends the session. */
const MAX_PASSED_BYTES = 16 * 1024 * 1024;

/** A POST of long-polling that is too large. */
interface OversizedBody {
  /**
   * Refuses the message in it.
   *
   * @returns whether its client was answered; if not, its session is to be ended here
   */
  readonly refuse: (head: string) => boolean;
}

/** The length of a body that is too large for long-polling and can still be refused with a code; 0 for every other request. */
export function oversizedBytes(req: GuardedRequest, maxPayload: number): number {
  if (req.getMethod() !== 'post') return 0;
  const bytes = req.head.contentLengthBytes;
  return bytes > maxPayload && bytes <= MAX_PASSED_BYTES ? bytes : 0;
}

/**
 * Skips a body that is too large, of which only the beginning is kept, and answers it.
 *
 * Engine.IO would answer 413 and end the session. To the stock client that is an error of the transport, after which it
 * reconnects and sends the same again, forever.
 */
export function passBy(res: GuardedResponse, { refuse }: OversizedBody): void {
  let head = Buffer.alloc(0);
  res.onData((chunk, isLast) => {
    if (head.length < HEAD_BYTES) {
      head = Buffer.concat([head, Buffer.from(chunk.slice(0, HEAD_BYTES - head.length))]);
    }
    if (!isLast) return;
    const isAnswered = refuse(head.toString());
    if (isAnswered) res.cork(() => res.writeHeader('Content-Type', 'text/html').end('ok'));
    else res.refuse('body_too_large');
  });
}
