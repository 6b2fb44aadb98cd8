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

/**
 * Says why a request or a connection failed.
 *
 * @param error - of `fetch` its `cause`
 * @param url - what was asked
 */
export function networkFault(error: unknown, url: URL): NetworkFault {
  const { code = '' } = error as NodeJS.ErrnoException;
  const reason = messageOf(error).trim();
  if (reason.includes('wrong version number')) {
    return { reason: 'it does not speak TLS', advice: 'Take http:// in place of https://.', isSent: false };
  }
  if (BAD_CERTIFICATE.test(code)) {
    const advice =
      'Take the name that its certificate is for, and set NODE_EXTRA_CA_CERTS to the file of an authority of your own.';
    return { reason: `its certificate is not trusted: ${reason}`, advice, isSent: false };
  }
  const advice =
    url.protocol === 'http:' && HUNG_UP.test(reason)
      ? 'If it speaks TLS, take https:// in place of http://.'
      : undefined;
  return { reason, advice, isSent: !NO_CONNECTION.has(code) };
}
