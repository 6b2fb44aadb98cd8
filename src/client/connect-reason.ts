/** A failed request, as engine.io-client describes it. */
interface TransportError extends Error {
  /** The request, where it was one of long-polling. */
  readonly context?: { readonly status?: number; readonly responseText?: string } | undefined;
}

/**
 * Why an attempt to connect failed, for a person: in the gateway's own words if they can be read.
 *
 * @param withCredentials - whether the page sends cookies, which browsers allow only if the gateway lists its origin
 */
export function connectReason(error: TransportError, withCredentials: boolean | undefined): string {
  const { message, context } = error;
  try {
    const answer = JSON.parse(context?.responseText ?? '') as { code?: string | number; message?: string };
    if (answer.message !== undefined) return `${answer.message} (${answer.code})`;
  } catch {
    // Not an answer of the gateway.
  }
  if (!withCredentials || context?.status !== 0) return message;
  return `${message}: withCredentials needs the origin of this page in the gateway's CORS_ORIGIN, where "*" is not enough`;
}
