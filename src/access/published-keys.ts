import { type CryptoKey, type JWK, type JWSHeaderParameters, importJWK } from 'jose';

/** Algorithms that check with a public key, and the keys that they take: with an HS algorithm among them, anybody could sign with the public key. */
const FAMILIES: Readonly<Record<string, { readonly kty: string; readonly crv?: string }>> = {
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
};

/** Algorithms that tokens of an issuer may be signed with. */
export const PUBLIC_ALGORITHMS: readonly string[] = Object.keys(FAMILIES);

/** RFC 7518, sections 3.3 and 3.5. */
const MIN_RSA_BITS = 2048;

/** Thrown when the issuer publishes keys that fit a token, and none that can be used. */
export class UnusableKeys extends Error {
  override readonly name = 'UnusableKeys';
}

/** Two names for one algorithm (RFC 9864). */
function sameAlgorithm(one: unknown, other: string): boolean {
  return one === other || (one === 'EdDSA' && other === 'Ed25519') || (one === 'Ed25519' && other === 'EdDSA');
}

/** Whether a member of a set is a public key to check signatures of an algorithm with (RFC 7517, section 4). */
function fits(jwk: JWK, alg: string): boolean {
  const family = FAMILIES[alg];
  return (
    family !== undefined &&
    jwk.kty === family.kty &&
    (family.crv === undefined || jwk.crv === family.crv) &&
    (jwk.alg === undefined || sameAlgorithm(jwk.alg, alg)) &&
    (jwk.use === undefined || jwk.use === 'sig') &&
    (jwk.key_ops === undefined || (Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) &&
    // Whoever reads it here can sign with it.
    jwk.d === undefined
  );
}

/** Imports a key; what says nothing of the key itself is left out. */
async function importKey({ kty, n, e, crv, x, y }: JWK, alg: string): Promise<CryptoKey | undefined> {
  try {
    const members = kty === 'RSA' ? { kty, n, e } : kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x };
    const key = await importJWK(members as JWK, alg);
    if (key instanceof Uint8Array || key.type !== 'public') return undefined;
    const { modulusLength } = key.algorithm as { modulusLength?: number };
    return modulusLength !== undefined && modulusLength < MIN_RSA_BITS ? undefined : key;
  } catch {
    // It does not keep the others of the set from being used.
    return undefined;
  }
}

/** The keys that an issuer published at a time: a JSON Web Key Set (RFC 7517). */
export class PublishedKeys {
  /** When they were asked for, by `performance.now()`. */
  readonly askedAtMs: number;
  readonly #keys: readonly JWK[];
  readonly #imported = new Map<JWK, Map<string, Promise<CryptoKey | undefined>>>();

  /**
   * @param set - the issuer's answer; members that are not keys are ignored
   * @throws when it is not a key set
   */
  constructor(set: unknown, askedAtMs: number) {
    const { keys } = (set ?? {}) as { keys?: unknown };
    if (!Array.isArray(keys)) throw new Error('the issuer answered JSON that is not a JSON Web Key Set');
    this.#keys = keys.filter((key): key is JWK => typeof key === 'object' && key !== null);
    this.askedAtMs = askedAtMs;
  }

  /**
   * The keys with which a token may be signed: those of the key id that it names; or, where it names none, all that fit
   * its algorithm; or, where nobody has that id, those that have none.
   *
   * @throws {@link UnusableKeys}
   */
  async for({ alg = '', kid }: JWSHeaderParameters): Promise<CryptoKey[]> {
    const fitting = this.#keys.filter((key) => fits(key, alg));
    const named = kid === undefined ? fitting : fitting.filter((key) => key.kid === kid);
    const chosen = named.length > 0 ? named : fitting.filter((key) => typeof key.kid !== 'string' || key.kid === '');
    const usable = (await Promise.all(chosen.map((key) => this.#import(key, alg)))).filter((key) => key !== undefined);
    if (usable.length === 0 && chosen.length > 0) throw new UnusableKeys('the key of the issuer cannot be used');
    return usable;
  }

  #import(jwk: JWK, alg: string): Promise<CryptoKey | undefined> {
    const imported = this.#imported.get(jwk) ?? new Map<string, Promise<CryptoKey | undefined>>();
    this.#imported.set(jwk, imported);
    const key = imported.get(alg) ?? importKey(jwk, alg);
    imported.set(alg, key);
    return key;
  }
}
