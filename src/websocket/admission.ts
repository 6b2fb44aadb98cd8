import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { OriginPolicy } from './origin.js';

/** Why a request was refused before the Socket.IO engine saw it; also the value of the label `reason` in metrics. */
export type Refusal = 'origin' | 'max_connections' | 'stopping';

const ANSWERS: Record<Refusal, { status: string; retryAfter?: string; message: string }> = {
  origin: { status: '403 Forbidden', message: 'This origin is not allowed.' },
  max_connections: {
    status: '503 Service Unavailable',
    retryAfter: '5',
    message: 'This pod has all the connections it takes; try again.',
  },
  stopping: { status: '503 Service Unavailable', retryAfter: '1', message: 'This pod is stopping; connect again.' },
};

/** What admission looks at and whom it tells. */
export interface AdmissionOptions {
  readonly origins: OriginPolicy;
  /** 0 is no limit. */
  readonly maxConnections: number;
  readonly connections: () => number;
  readonly onRefused: (refusal: Refusal) => void;
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
    const refusal = this.#refusal(origin, namesSession(req.getQuery()));
    if (refusal === undefined) return true;
    const { status, retryAfter, message } = ANSWERS[refusal];
    res.cork(() => {
      res.writeStatus(status).writeHeader('Content-Type', 'application/json');
      for (const [name, value] of this.#options.origins.headers(origin)) res.writeHeader(name, value);
      if (retryAfter !== undefined) res.writeHeader('Retry-After', retryAfter);
      res.end(JSON.stringify({ code: refusal, message }));
    });
    this.#options.onRefused(refusal);
    return false;
  }

  #refusal(origin: string, hasSession: boolean): Refusal | undefined {
    const { origins, maxConnections, connections } = this.#options;
    if (!origins.allows(origin)) return 'origin';
    if (hasSession) return undefined;
    if (this.stopping) return 'stopping';
    return maxConnections > 0 && connections() >= maxConnections ? 'max_connections' : undefined;
  }
}
