/** Where a client may have put its token. */
export interface TokenPlaces {
  readonly auth: Readonly<Record<string, unknown>>;
  readonly headers: { readonly authorization?: string | undefined };
}

/** RFC 6750, section 2.1; more white space than one space is what people write. */
const BEARER = /^bearer[ \t]+/i;

/**
 * The token of a client: `auth.token`, with `Bearer ` before it or without, or the `Authorization` header of its handshake
 * if there is nothing in `auth.token`.
 *
 * @returns what the client put there, which may be of any type; `undefined` or an empty text if there is none
 */
export function tokenOf({ auth, headers }: TokenPlaces): unknown {
  const { token } = auth;
  if (token !== undefined && token !== null && typeof token !== 'string') return token;
  const own = token?.trim().replace(BEARER, '') ?? '';
  // A scheme with nothing behind it is what is left of a template without a token.
  if (own !== '' && !/^bearer$/i.test(own)) return own;
  const header = headers.authorization?.trim() ?? '';
  return BEARER.test(header) ? header.replace(BEARER, '') : undefined;
}
