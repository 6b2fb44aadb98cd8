import { once } from 'node:events';
import { type Server, type ServerResponse, createServer } from 'node:http';
import { type CryptoKey, type JWK, type JWTPayload, SignJWT, exportJWK, generateKeyPair } from 'jose';
import { type Cleanup, HOST } from './processes.js';

/** A secret for `JWT_SECRET`. */
export const SECRET = 'a secret of the tests, long enough for HS256';

export const ISSUER = 'https://id.example';
export const AUDIENCE = 'the feed';

/** Seconds since 1970. */
export function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** A good set of claims, with some of one's own; `undefined` leaves one out. */
export function claims(more: Readonly<Record<string, unknown>> = {}): JWTPayload {
  const all = { iss: ISSUER, aud: AUDIENCE, sub: 'user 1', exp: seconds() + 600, ...more };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** A token signed with {@link SECRET}, or another one. */
export function secretToken(payload = claims(), secret = SECRET, alg = 'HS256'): Promise<string> {
  return new SignJWT(payload).setProtectedHeader({ alg }).sign(Buffer.from(secret));
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A token put together by hand. */
export function rawToken(header: unknown, payload: unknown, signature: string): string {
  return `${part(header)}.${part(payload)}.${signature}`;
}

/** Publishes public keys and signs tokens, as an identity provider does. */
export class Issuer {
  readonly #server: Server;
  readonly #keys = new Map<string, { readonly key: CryptoKey; readonly jwk: JWK; readonly alg: string }>();
  /** Members of the set, by the names of the keys. */
  readonly published = new Map<string, unknown>();
  /** Times that the keys were asked for. */
  requests = 0;
  /** Answers in its place, or does not. */
  instead: ((response: ServerResponse) => void) | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(cleanup: Cleanup): Promise<Issuer> {
    const server = createServer((_request, response) => {
      issuer.requests++;
      if (issuer.instead !== undefined) {
        issuer.instead(response);
        return;
      }
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ keys: [...issuer.published.values()] }));
    });
    const issuer = cleanup.add(new Issuer(server), (self) => self.close());
    server.listen(0, HOST);
    await once(server, 'listening');
    return issuer;
  }

  get url(): string {
    return `http://${HOST}:${(this.#server.address() as { port: number }).port}/keys`;
  }

  /** Makes a key pair; its public half is published under the name, with some members of one's own. `undefined` leaves one out. */
  async addKey(kid: string, alg = 'ES256', more: Readonly<Record<string, unknown>> = {}): Promise<JWK> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig', ...more };
    this.#keys.set(kid, { key: privateKey, jwk, alg });
    this.published.set(kid, jwk);
    return jwk;
  }

  /** A token signed with the private half of a key. @param header - in place of the key's id */
  async token(kid: string, payload = claims(), header: Readonly<Record<string, unknown>> = { kid }): Promise<string> {
    const found = this.#keys.get(kid);
    if (found === undefined) throw new Error(`there is no key "${kid}"`);
    return new SignJWT(payload).setProtectedHeader({ alg: found.alg, ...header }).sign(found.key);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
