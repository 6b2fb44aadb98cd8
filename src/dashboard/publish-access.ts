import { randomBytes } from 'node:crypto';
import type { RouteRequest, Route } from '../http/router.js';
import type { PresentedKey } from '../admin/access.js';
import { Problem } from '../errors.js';

/** 256 bits. */
const TOKEN_BYTES = 32;

/** A token for the link of this start: nobody can guess it, and it ends with the process. It needs no escapes in a URL. */
export function newPublishToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Why a page without the token of this process may not publish, and what to do. */
function refusal(presented: PresentedKey, pod: string): Problem {
  const headers = { 'WWW-Authenticate': 'Bearer' };
  if (presented === 'none') {
    return new Problem(
      'publish_token_required',
      `To publish, open the dashboard with the link that ${pod} logs when it starts.`,
      { headers },
    );
  }
  return new Problem(
    'publish_token_wrong',
    `Either the gateway was restarted, or the link is from another pod. Open the newest link from the log of ${pod}.`,
    { headers },
  );
}

/**
 * Guards publishing with the token of this start. Nothing else in a request counts: a proxy on this machine, or a page whose
 * name leads here, decides the address, `Host` and `Origin`.
 *
 * @param check - compares the token that a request presents with that of this start
 */
export function linkGuard(check: (request: RouteRequest) => PresentedKey, pod: string): NonNullable<Route['guard']> {
  return (request) => {
    const presented = check(request);
    if (presented !== 'known') throw refusal(presented, pod);
  };
}
