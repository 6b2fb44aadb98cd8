import { type JWTPayload, type JWTVerifyOptions, errors, jwtVerify } from 'jose';
import { WELL_FORMED } from '../contract/events.js';
import { scanObject } from '../contract/json-scan.js';
import { parseTopics } from '../contract/topics.js';
import type { TokenErrorCode } from '../errors.js';
import { KeySet, type KeySetOptions } from './key-set.js';
import { PUBLIC_ALGORITHMS, type PublishedKeys } from './published-keys.js';

/** What a token says about its bearer. */
export interface Identity {
  /** Claim `sub`. */
  readonly user: string | undefined;
  /** Claim `topics`: all that may be subscribed; `undefined` allows everything. */
  readonly allowed: ReadonlySet<string> | undefined;
  /** When the client has to reconnect with another token, as Unix time in ms. */
  readonly expiresAtMs: number;
}

/** What came of a token. */
export type Verdict =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly code: TokenErrorCode; readonly message: string };

/** How tokens are checked. */
export interface TokenOptions {
  /** A shared secret, or the address of the issuer's public keys. Never an address that a token names. */
  readonly key: { readonly secret: string } | { readonly jwksUrl: URL };
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
}

/** Longest token that is checked, in characters. */
export const MAX_TOKEN_LENGTH = 8192;

/** Longest `sub`, in characters. */
const MAX_USER_LENGTH = 256;

/** How far the clocks of issuer and gateway may be apart. */
const CLOCK_TOLERANCE_SECONDS = 5;

/** A secret signs with this alone. */
const SECRET_ALGORITHMS = ['HS256'];

/** RFC 7515, section 7.1: three parts of base64url, the last of which `alg: none` leaves empty. */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]*$/;

const MALFORMED = 'the token is not a JSON Web Token';

function refuse(code: TokenErrorCode, message: string): Verdict {
  return { ok: false, code, message };
}

/** What jose found wrong, as one of the stable codes. */
function explain(error: unknown): Verdict {
  if (error instanceof errors.JWTExpired) return refuse('token_expired', 'the token has expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim } = error;
    if (claim === 'aud') return refuse('token_wrong_audience', 'the token is for somebody else');
    if (claim === 'iss') return refuse('token_wrong_issuer', 'the token is of another issuer');
    if (claim === 'nbf' && error.reason === 'check_failed') {
      return refuse('token_not_yet_valid', 'the token is not valid yet');
    }
    return refuse('token_bad_claims', `the claim "${claim}" is missing, or not what it has to be`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return refuse('token_wrong_algorithm', 'the token is signed with an algorithm that is not taken here');
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return refuse('token_bad_signature', 'the signature of the token is wrong');
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return refuse('token_unknown_key', 'the token is signed with a key that is not among those of the issuer');
  }
  if (
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JOSENotSupported
  ) {
    return refuse('token_malformed', MALFORMED);
  }
  return refuse('keys_unavailable', error instanceof Error ? error.message : String(error));
}

/** Claims that are checked, here or by jose. RFC 7519, section 4, wants each once; of two jose takes the last. */
const CLAIMS = { once: ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'topics'], maxDepth: Infinity };

/** Refuses claims that another reader of the same token may take for others. @param token - one that was verified */
function refuseTwice(token: string, payload: JWTPayload): Verdict | undefined {
  const json = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
  const fault = scanObject(json, payload, CLAIMS);
  return fault && refuse('token_bad_claims', `the claim "${fault.field}" appears twice`);
}

/** The claims that this gateway reads, which are the issuer's word but may still be of a wrong shape. */
function identify({ sub, exp, topics }: JWTPayload): Verdict {
  if (sub !== undefined && (typeof sub !== 'string' || sub === '' || sub.length > MAX_USER_LENGTH)) {
    return refuse('token_bad_claims', `the claim "sub" is not a text of up to ${MAX_USER_LENGTH} characters`);
  }
  if (sub !== undefined && !WELL_FORMED.test(sub)) {
    return refuse('token_bad_claims', 'the claim "sub" has an unpaired surrogate');
  }
  const parsed = topics === undefined ? undefined : parseTopics(topics);
  if (parsed?.ok === false) return refuse('token_bad_claims', `the claim "topics": ${parsed.message}`);
  return {
    ok: true,
    // The clock tolerance again: else a token would let in for an instant, again and again, when it is about to end.
    identity: { user: sub, allowed: parsed?.topics, expiresAtMs: ((exp ?? 0) + CLOCK_TOLERANCE_SECONDS) * 1000 },
  };
}

/** Checks JSON Web Tokens (RFC 7519) that are signed, with `exp`. */
export class TokenVerifier {
  readonly #options: TokenOptions;
  readonly #secret: Uint8Array | undefined;
  readonly #keys: KeySet | undefined;

  /** @param keys - for the keys of an issuer */
  constructor(options: TokenOptions, keys: KeySetOptions = {}) {
    this.#options = options;
    if ('secret' in options.key) this.#secret = Buffer.from(options.key.secret);
    else this.#keys = new KeySet(options.key.jwksUrl, keys);
  }

  /** @param token - what the client sent; anything, it is the client's word */
  async verify(token: unknown): Promise<Verdict> {
    if (token === undefined || token === null || token === '') {
      return refuse('token_missing', 'send a token as auth.token, or as "Authorization: Bearer <token>"');
    }
    if (typeof token !== 'string') return refuse('token_malformed', MALFORMED);
    if (token.length > MAX_TOKEN_LENGTH) {
      return refuse(
        'token_too_large',
        `the token has ${token.length} characters; at most ${MAX_TOKEN_LENGTH} are read`,
      );
    }
    if (!COMPACT_JWS.test(token)) return refuse('token_malformed', MALFORMED);
    const { issuer, audience } = this.#options;
    const checks = {
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['exp'],
    };
    try {
      const payload =
        this.#keys === undefined
          ? (await jwtVerify(token, this.#secret ?? new Uint8Array(), { ...checks, algorithms: SECRET_ALGORITHMS }))
              .payload
          : await verifyWith(this.#keys, token, { ...checks, algorithms: [...PUBLIC_ALGORITHMS] });
      return refuseTwice(token, payload) ?? identify(payload);
    } catch (error) {
      return explain(error);
    }
  }
}

/** Checks a token with the keys that are known, and then, if none was right, with those that the issuer has by now. */
async function verifyWith(keys: KeySet, token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
  const arrivedAtMs = performance.now();
  const known = await keys.current();
  try {
    return await tryEach(known, token, checks);
  } catch (error) {
    const isFresh = known.askedAtMs >= arrivedAtMs;
    // An issuer that gives its keys no ids, or the same ones again, has changed them without the token showing it.
    const mayBeNew =
      error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
    if (isFresh || !mayBeNew) throw error;
    return tryEach(await keys.since(arrivedAtMs), token, checks);
  }
}

/** Checks a token with every key that may be meant. @throws what jose throws, for the last of them */
async function tryEach(keys: PublishedKeys, token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
  let failure: Error = new errors.JWKSNoMatchingKey();
  let fitting: Awaited<ReturnType<PublishedKeys['for']>> | undefined;
  for (let i = 0; ; i++) {
    // jose asks for the key when the header is one that it takes.
    const keyAt = async (header: Parameters<PublishedKeys['for']>[0]) => {
      fitting ??= await keys.for(header);
      const key = fitting[i];
      if (key === undefined) throw failure;
      return key;
    };
    try {
      return (await jwtVerify(token, keyAt, checks)).payload;
    } catch (error) {
      if (error === failure || !(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
      failure = error;
    }
  }
}
