import { messageOf } from '../errors.js';

/** Why a server could not be reached. */
export interface NetworkFault {
  readonly reason: string;
  /** What to do about it, if that is more than to start a gateway there. */
  readonly advice: string | undefined;
  /** Whether a request may have arrived anyway. */
  readonly isSent: boolean;
}

/** Errors of a request that was never sent, since there was no connection. */
const NO_CONNECTION: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Codes of Node.js for a certificate that it does not trust; most are OpenSSL's without `X509_V_ERR_`. */
const BAD_CERTIFICATE = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/;

/** What `node:http` and `fetch` say about a connection that ends before any answer. */
const HUNG_UP = /^(?:socket hang up|other side closed)$/;

/** Errors of a request that was under way: from the other side, from something between, and of `AbortSignal.timeout`. */
const BROKEN_OFF: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'TimeoutError']);

/** A server that does not understand a request hangs up before this; one that waits for the rest of it does so later. */
const AT_ONCE_MS = 2000;

/** A request that had no answer. */
export interface Upload {
  /** Length of its body. */
  readonly bytes: number;
  /** Time from its start to the error. */
  readonly afterMs: number;
}

/**
 * Says why a request or a connection failed.
 *
 * @param error - for `fetch`, the `cause` of its error
 * @param url - the address that was called
 * @param upload - what was sent, if it was a request with a body
 */
export function networkFault(error: unknown, url: URL, upload?: Upload): NetworkFault {
  const { code, name } = error as NodeJS.ErrnoException;
  const kind = typeof code === 'string' ? code : name;
  const reason = messageOf(error).trim();
  if (reason.includes('wrong version number')) {
    return { reason: 'it does not speak TLS', advice: 'Use http:// instead of https://.', isSent: false };
  }
  if (BAD_CERTIFICATE.test(kind)) {
    const advice =
      'Use the name that its certificate is for. If the certificate is from your own authority, set NODE_EXTRA_CA_CERTS to its file.';
    return { reason: `its certificate is not trusted: ${reason}`, advice, isSent: false };
  }
  if (upload !== undefined && upload.afterMs >= AT_ONCE_MS && BROKEN_OFF.has(kind)) {
    return { ...slowUpload(reason, upload), isSent: true };
  }
  const advice =
    url.protocol === 'http:' && HUNG_UP.test(reason) ? 'If it speaks TLS, use https:// instead of http://.' : undefined;
  return { reason, advice, isSent: !NO_CONNECTION.has(kind) };
}

/** Describes a request that was under way for a while and had no answer. */
function slowUpload(reason: string, { bytes, afterMs }: Upload): Pick<NetworkFault, 'reason' | 'advice'> {
  const size = Math.ceil(bytes / 1024).toLocaleString('en-US');
  return {
    reason: `a request of ${size} KiB had no answer after ${Math.round(afterMs / 1000)} s (${reason})`,
    advice:
      'It may have arrived too slowly for the gateway, or for a proxy before it: send fewer lines at once with --batch, or ' +
      'use a faster line.',
  };
}
