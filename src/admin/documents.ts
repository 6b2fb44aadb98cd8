import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { asyncapiDocument } from '../contract/asyncapi.js';
import { type Json, documentText } from '../contract/json-schema.js';
import { sendBody } from '../send-body.js';
import type { Route } from './http.js';
import { openapiDocument } from './openapi.js';

/** Built when somebody asks for the first time. */
function built(build: () => Json): () => Uint8Array {
  let bytes: Uint8Array | undefined;
  return () => (bytes ??= Buffer.from(documentText(build())));
}

/** The published contract: what goes over Socket.IO and Redis, and what the admin port answers. */
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
  answer(res: HttpResponse, req: HttpRequest): void {
    const method = req.getMethod();
    res.cork(() => {
      if (method !== 'get' && method !== 'head') {
        res.writeStatus('405 Method Not Allowed').writeHeader('Allow', 'GET, HEAD').end();
        return;
      }
      const body = this.#asyncapi();
      res.writeHeader('Content-Type', 'application/json');
      res.writeHeader('Access-Control-Allow-Origin', '*');
      res.writeHeader('Cache-Control', 'no-cache');
      if (method === 'get') sendBody(res, body);
      // With the length as an argument it would wait for a body, and close the connection at the next request.
      else res.writeHeader('Content-Length', String(body.byteLength)).endWithoutBody();
    });
  }
}
