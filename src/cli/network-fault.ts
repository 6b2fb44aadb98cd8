import { messageOf } from '../errors.js';

/** Why a server could not be spoken to. */
export interface NetworkFault {
  readonly reason: string;
  /** What to do about it, where it is more than to start a gateway there. */
  readonly advice: string | undefined;
  /** Whether a request may have got there all the same. */
  readonly isSent: boolean;
}

/** Errors of a request that was never sent, since there was no connection to send it on. */
const NO_CONNECTION: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Names that Node.js has for a certificate that it does not trust; most are OpenSSL's, less `X509_V_ERR_`. */
const BAD_CERTIFICATE = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/;

/** How an end is told of that comes before any answer: by `node:http`, and by `fetch`. */
const HUNG_UP = /^(?:socket hang up|other side closed)$/;

/** Ends of a request that was under way: by the other side, by something between, and by `AbortSignal.timeout`. */
const BROKEN_OFF: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'TimeoutError']);

/** A server that does not understand what comes hangs up at once, and one that waits for the rest of it only later. */
const AT_ONCE_MS = 2000;

/** A request that had no answer. */
export interface Upload {
  /** Of its body. */
  readonly bytes: number;
  /** ms from its begin to the error. */
  readonly after: number;
}

/**
 * Says why a request or a connection failed.
 *
 * @param error - of `fetch` its `cause`
 * @param url - what was asked
 * @param upload - what was sent, if it was a request with a body
 */
export function networkFault(error: unknown, url: URL, upload?: Upload): NetworkFault {
  const { code, name } = error as NodeJS.ErrnoException;
  const kind = typeof code === 'string' ? code : name;
  const reason = messageOf(error).trim();
  if (reason.includes('wrong version number')) {
    return { reason: 'it does not speak TLS', advice: 'Take http:// in place of https://.', isSent: false };
  }
  if (BAD_CERTIFICATE.test(kind)) {
    const advice =
      'Take the name that its certificate is for, and set NODE_EXTRA_CA_CERTS to the file of an authority of your own.';
    return { reason: `its certificate is not trusted: ${reason}`, advice, isSent: false };
  }
  if (upload !== undefined && upload.after >= AT_ONCE_MS && BROKEN_OFF.has(kind)) {
    return { ...slowUpload(reason, upload), isSent: true };
  }
  const advice =
    url.protocol === 'http:' && HUNG_UP.test(reason)
      ? 'If it speaks TLS, take https:// in place of http://.'
      : undefined;
  return { reason, advice, isSent: !NO_CONNECTION.has(kind) };
}

/** What there is to say of a request that was under way for a while and had no answer. */
function slowUpload(reason: string, { bytes, after }: Upload): Pick<NetworkFault, 'reason' | 'advice'> {
  const size = Math.ceil(bytes / 1024).toLocaleString('en-US');
  return {
    reason: `a request of ${size} KiB had no answer after ${Math.round(after / 1000)} s (${reason})`,
    advice:
      'It may have come too slowly for the gateway, or for a proxy before it: send fewer lines at once with --batch, or ' +
      'use a faster line.',
  };
}
