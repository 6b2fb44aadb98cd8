import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { Problem } from '../errors.js';
import { isLoopback } from '../http/loopback.js';
import type { RouteRequest } from '../http/router.js';

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Whether a request was sent to a name that any name server can point to this machine (DNS rebinding): one with a dot that
 * is not an address.
 *
 * @param host - header `Host`
 */
function isPublicName(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d*$/, '');
  return name.includes('.') && isIP(name.replace(/^\[(.*)\]$/, '$1')) === 0 && !name.endsWith('.localhost');
}

/** The key of a request: none, an unknown one, or a known one. */
export type PresentedKey = 'none' | 'unknown' | 'known';

/**
 * Reads the key that a request has as `Authorization: Bearer <key>` (RFC 6750) and compares it with those that are known.
 *
 * @returns a check that takes the same time for every guess
 */
export function keyCheck(keys: readonly string[]): (request: RouteRequest) => PresentedKey {
  // All digests have the same length, so the time of a comparison reveals nothing.
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
      // A page in a browser on this machine is not the operator: on a POST browsers always send its origin. On a GET they
      // do not if the page came from the same name, which may lead here by now.
      if (request.header('origin') !== '' || isPublicName(request.header('host'))) {
        throw new Problem(
          'forbidden',
          'Pages in a browser and callers by a public name are not allowed here. Call localhost, or set API_KEY.',
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
