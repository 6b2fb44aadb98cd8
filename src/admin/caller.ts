import { createHash } from 'node:crypto';
import type { RouteRequest } from '../http/router.js';

/** Who called, for the log. */
export interface Caller {
  /** IPv4 as `203.0.113.5`, IPv6 as `2001:db8::1`. */
  readonly address: string;
  /** Which key of `API_KEY` was presented: the beginning of its SHA-256 digest, never the key. */
  readonly key?: string;
}

/** Enough of a digest to tell a few keys apart. */
const FINGERPRINT_LENGTH = 8;
const MAPPED_IPV4 = '00000000000000000000ffff';

/** An address of 4 or 16 bytes as text. */
function textOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  if (bytes.length === 16 && !hex.startsWith(MAPPED_IPV4)) {
    // The parser of URLs writes the short form (RFC 5952).
    return new URL(`http://[${hex.replaceAll(/(.{4})(?=.)/g, '$1:')}]`).hostname.slice(1, -1);
  }
  return bytes.slice(-4).join('.');
}

/** @param hasKeys - whether `API_KEY` is set, so that the caller has presented a key */
export function callerOf(request: RouteRequest, hasKeys: boolean): Caller {
  const address = textOf(request.remoteAddress);
  if (!hasKeys) return { address };
  const key = request.header('authorization').trim().split(/\s+/)[1] ?? '';
  return { address, key: createHash('sha256').update(key).digest('hex').slice(0, FINGERPRINT_LENGTH) };
}
