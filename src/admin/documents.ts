import { asyncapiDocument } from '../contract/asyncapi.js';
import { type Json, documentText } from '../contract/json-schema.js';
import type { GuardedRequest } from '../http/guarded-request.js';
import type { GuardedResponse } from '../http/guarded-response.js';
import type { Route } from '../http/router.js';
import { openapiDocument } from './openapi.js';

/** Builds a document when it is requested for the first time. */
function built(build: () => Json): () => Uint8Array {
  let bytes: Uint8Array | undefined;
  return () => (bytes ??= Buffer.from(documentText(build())));
}

/** The published contract: what is sent over Socket.IO and Redis, and what the admin port answers. */
export class Documents {
  readonly #asyncapi: () => Uint8Array;
  readonly #openapi: () => Uint8Array;

  /** @param version - of this package */
  constructor(version: string) {
    this.#asyncapi = built(() => asyncapiDocument(version));
    this.#openapi = built(() => openapiDocument(version));
  }

  /** `GET /asyncapi.json` and `GET /openapi.json`, for the admin port. */
  routes(): Route[] {
    return [
      { method: 'GET', path: '/asyncapi.json', handle: () => ({ status: 200, body: this.#asyncapi() }) },
      { method: 'GET', path: '/openapi.json', handle: () => ({ status: 200, body: this.#openapi() }) },
    ];
  }

  /** Answers `/asyncapi.json` on the public port, to pages of any origin: nothing in it is secret. */
  answer(res: GuardedResponse, req: GuardedRequest): void {
    const method = req.getMethod();
    res.openToAll();
    if (method !== 'get' && method !== 'head') {
      res.refuse('method_not_allowed', [['Allow', 'GET, HEAD']]);
      return;
    }
    res.cork(() => {
      res.writeHeader('Content-Type', 'application/json').writeHeader('Cache-Control', 'no-cache');
      res.end(this.#asyncapi());
    });
  }
}
