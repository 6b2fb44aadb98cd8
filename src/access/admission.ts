import type { RefusalCode } from '../errors.js';
import type { GuardedRequest } from '../http/guarded-request.js';
import type { GuardedResponse } from '../http/guarded-response.js';
import type { ConnectionLimits } from './connection-limits.js';
import type { OriginPolicy } from './origin-policy.js';

/** What admission asks. */
export interface AdmissionOptions {
  readonly origins: OriginPolicy;
  readonly limits: ConnectionLimits;
}

/** What clients do: they ask, and they send. */
const METHODS = new Set(['get', 'post']);

/** As Engine.IO decides it: the last `sid` counts, and an empty one does not. */
function namesSession(query: string): boolean {
  return query.includes('sid') && Boolean(new URLSearchParams(query).getAll('sid').at(-1));
}

/**
 * Whether a request of another method asks for a session: engine.io refuses it, with 400 and the number of the protocol. HEAD
 * asks for nothing.
 */
function isHandshake(req: GuardedRequest): boolean {
  const query = req.getQuery();
  return req.getMethod() !== 'head' && query.includes('EIO=') && !namesSession(query);
}

/** Decides about every request to the Socket.IO path before any work is done for it. */
export class Admission {
  /** Set when the pod takes no new clients. */
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
  admit(res: GuardedResponse, req: GuardedRequest): boolean {
    if (!METHODS.has(req.getMethod()) && !isHandshake(req)) {
      res.refuse('method_not_allowed', [['Allow', 'GET, POST, OPTIONS']]);
      return false;
    }
    const refusal = this.#refusal(res, req);
    if (refusal === undefined) return true;
    res.refuse(refusal);
    return false;
  }

  #refusal(res: GuardedResponse, req: GuardedRequest): RefusalCode | undefined {
    const { origins, limits } = this.#options;
    const { origin, host } = req.head;
    if (!origins.allows(origin, host)) return 'origin';
    if (namesSession(req.getQuery())) return undefined;
    if (this.stopping) return 'stopping';
    return limits.refusal(
      () => Buffer.from(res.getRemoteAddressAsText()).toString(),
      () => req.head.forwardedFor,
    );
  }
}
