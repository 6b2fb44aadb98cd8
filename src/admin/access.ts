import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { Problem } from '../errors.js';
import { isLoopback } from '../http/loopback.js';
import type { RouteRequest } from '../http/router.js';

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Whether a request was sent to a name that a name server anywhere can make lead to this machine (DNS rebinding): one with
 * a dot that is no address.
 *
 * @param host - header `Host`
 */
function isPublicName(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d*$/, '');
  return name.includes('.') && isIP(name.replace(/^\[(.*)\]$/, '$1')) === 0 && !name.endsWith('.localhost');
}

/** What a request says of a key: nothing, one that is not known, or a known one. */
export type PresentedKey = 'none' | 'unknown' | 'known';

/**
 * Reads the key that a request has as `Authorization: Bearer <key>` (RFC 6750) and compares it with those that are known.
 *
 * @returns a check that takes the same time for every guess
 */
export function keyCheck(keys: readonly string[]): (request: RouteRequest) => PresentedKey {
  // Digests have one length, so nothing is told by how long a comparison takes.
  const known = keys.map(digest);
  return (request) => {
    const [, presented] = /^bearer +(\S+)$/i.exec(request.header('authorization').trim()) ?? [];
    if (presented === undefined) return 'none';
    const given = digest(presented);
    let match = false;
    for (const one of known) match = timingSafeEqual(one, given) || match;
    return match ? 'known' : 'unknown';
  };
}

/**
 * Decides who may publish: whoever has one of the keys, or without keys callers on this machine.
 *
 * @returns a guard that throws a {@link Problem} for anyone else
 */
export function publishGuard(apiKeys: readonly string[]): (request: RouteRequest) => void {
  const check = keyCheck(apiKeys);
  return (request) => {
    if (apiKeys.length === 0) {
      // A page in a browser on this machine is not the operator: browsers always name the page's origin on a POST.
      // On a GET they do not, where the page itself came from what it calls by a name that now leads here.
      if (request.header('origin') !== '' || isPublicName(request.header('host'))) {
        throw new Problem(
          'forbidden',
          'Pages in a browser may not come here, nor callers by a public name. Call localhost, or set API_KEY.',
        );
      }
      if (isLoopback(request.remoteAddress)) return;
      throw new Problem(
        'forbidden',
        'Without API_KEY only callers on the same machine may publish. Set API_KEY to allow others.',
      );
    }
    if (check(request) === 'known') return;
    throw new Problem('unauthorized', 'Send one of the keys of API_KEY as "Authorization: Bearer <key>".', {
      headers: { 'WWW-Authenticate': 'Bearer' },
    });
  };
}
