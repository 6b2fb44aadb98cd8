import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { REFUSALS, type RefusalCode } from '../errors.js';
import { sendBody } from '../send-body.js';
import type { ConnectionLimits } from './limits.js';
import { forwardedFor } from './handshake.js';
import type { OriginPolicy } from './origin.js';
import type { RefusalFields } from './refusal-log.js';

const STATUS_TEXT = { 403: 'Forbidden', 429: 'Too Many Requests', 503: 'Service Unavailable' } as const;

/** What admission looks at and whom it tells. */
export interface AdmissionOptions {
  readonly origins: OriginPolicy;
  readonly limits: ConnectionLimits;
  /** @param fields - what came that was refused, for the log; not escaped yet */
  readonly onRefused: (refusal: RefusalCode, fields: RefusalFields) => void;
}

/** As Engine.IO decides it: the last `sid` counts, and an empty one is none. */
function namesSession(query: string): boolean {
  return query.includes('sid') && Boolean(new URLSearchParams(query).getAll('sid').at(-1));
}

/** Decides about every request for the Socket.IO path before any work is done for it. */
export class Admission {
  /** Set when the pod takes no new clients any more. */
  stopping = false;
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Lets a request pass, or answers it.
   *
   * @returns whether the request may go on; if not it has been answered and MUST NOT be touched again
   */
  admit(res: HttpResponse, req: HttpRequest): boolean {
    const origin = req.getHeader('origin');
    const host = origin === '' ? '' : req.getHeader('host');
    const refusal = this.#refusal(origin, host, res, req);
    if (refusal === undefined) return true;
    const answer: { status: keyof typeof STATUS_TEXT; retryAfter?: number; message: string } = REFUSALS[refusal];
    const { status, retryAfter, message } = answer;
    res.cork(() => {
      res.writeStatus(`${status} ${STATUS_TEXT[status]}`).writeHeader('Content-Type', 'application/json');
      for (const [name, value] of this.#options.origins.headers(origin, host)) res.writeHeader(name, value);
      if (retryAfter !== undefined) res.writeHeader('Retry-After', String(retryAfter));
      sendBody(res, JSON.stringify({ code: refusal, message }));
    });
    this.#options.onRefused(refusal, refusal === 'origin' ? { origin, host } : {});
    return false;
  }

  #refusal(origin: string, host: string, res: HttpResponse, req: HttpRequest): RefusalCode | undefined {
    const { origins, limits } = this.#options;
    if (!origins.allows(origin, host)) return 'origin';
    if (namesSession(req.getQuery())) return undefined;
    if (this.stopping) return 'stopping';
    return limits.refusal(
      () => Buffer.from(res.getRemoteAddressAsText()).toString(),
      () => forwardedFor(req),
    );
  }
}
