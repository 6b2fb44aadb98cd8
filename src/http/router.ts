import { HTTP_ERRORS, PROBLEMS, Problem, type ProblemCode } from '../errors.js';
import { isEncoded } from './content-encoding.js';
import type { Handler } from './guarded-app.js';
import type { GuardedRequest } from './guarded-request.js';
import type { GuardedResponse } from './guarded-response.js';
import { statusText } from './status-text.js';
import type { BodyBudget, BodyRoom } from './body-budget.js';
import { BodyPace } from './body-pace.js';

/** A request as handlers see it: a copy, since uWebSockets.js takes its own objects back. */
export interface RouteRequest {
  readonly method: string;
  readonly path: string;
  /** What follows the `?`, decoded. */
  readonly query: URLSearchParams;
  header(name: string): string;
  /** The caller's address, as 4 or 16 bytes. */
  readonly remoteAddress: Uint8Array;
  readonly body: Buffer;
}

/** What a handler answers; it throws a {@link Problem} for everything that is not a success. */
export interface RouteResponse {
  readonly status: number;
  readonly body: string | Uint8Array;
  /** @default application/json */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers one route. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** A path, or all paths one segment below it: `/v1/things/*`. */
  readonly path: string;
  /** Checks the request before its body is read; throws a {@link Problem} to refuse it. */
  readonly guard?: (request: RouteRequest) => void;
  /** Longest body taken. @default 0 */
  readonly maxBodyBytes?: number;
  /** Room for large bodies, those of other routes among them; a request that finds none is refused. */
  readonly bodies?: BodyBudget;
  readonly handle: (request: RouteRequest) => RouteResponse | Promise<RouteResponse>;
}

/** Headers that handlers may read; uWebSockets.js takes the request back when its handler returns. */
const HEADERS = ['authorization', 'content-type', 'host', 'origin', 'idempotency-key', 'content-encoding'] as const;

/** A problem document (RFC 9457), as text. @param members - members beside the usual ones */
export function problemText(
  { code, status, title, detail }: { code: string; status: number; title: string; detail: string },
  members: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({ type: `urn:signal-gateway:problem:${code}`, title, status, code, detail, ...members });
}

function problemResponse({ code, message: detail, headers, members }: Problem): RouteResponse {
  const { status, title } = PROBLEMS[code];
  return {
    status,
    contentType: 'application/problem+json',
    headers,
    body: problemText({ code, status, title, detail }, members),
  };
}

/** Longest part of a path that is sent back, in characters. */
const MAX_SHOWN_PATH = 200;

/** A body without a length is read up to this many times its limit, and thrown away, before its sender is cut. */
const DISCARD_FACTOR = 4;

/** The body of a request before it is read, and of a GET. */
const NO_BODY = Buffer.alloc(0);

function noRoom(): Problem {
  return new Problem(
    'publish_unavailable',
    'Too many large requests are being worked on at once. Nothing was published. Try again.',
    { headers: { 'Retry-After': '1' } },
  );
}

/** One request under way. */
class Exchange {
  readonly #res: GuardedResponse;

  constructor(res: GuardedResponse) {
    this.#res = res;
  }

  /** Whether the client is gone. */
  get aborted(): boolean {
    return this.#res.isOver;
  }

  /**
   * Resolves with the body, or `undefined` when it is longer than the limit or the client went away.
   *
   * @param room - of the body, where that is limited: taken at once for a length that is announced, so that one of many finds it
   * @throws {@link Problem} `request_timeout` when it comes too slowly; `publish_unavailable` when there is no room for it
   */
  read(maxBytes: number, room: BodyRoom | undefined, lengthBytes: number): Promise<Buffer | undefined> {
    let pace: BodyPace | undefined;
    return new Promise<Buffer | undefined>((resolve, reject) => {
      pace = new BodyPace(this.#res, reject);
      let chunks: Buffer[] = [];
      let size = 0;
      let hasRoom = room?.grow(lengthBytes) ?? true;
      this.#res.onAborted(() => {
        pace?.stop();
        resolve(undefined);
      });
      this.#res.onData((chunk, isLast) => {
        size += chunk.byteLength;
        pace?.note(chunk.byteLength);
        if (isLast) pace?.stop();
        if (size > maxBytes) {
          chunks = [];
          // Read to its end, within reason: a client that is still writing would not see the answer.
          if (isLast || size > maxBytes * DISCARD_FACTOR) resolve(undefined);
          return;
        }
        hasRoom &&= room?.grow(size) ?? true;
        if (!hasRoom) {
          chunks = [];
          // Read to its end: a client that is still writing would not see the answer.
          if (isLast) reject(noRoom());
          return;
        }
        // uWebSockets.js takes the chunk back when this call returns.
        chunks.push(Buffer.from(chunk.slice(0)));
        if (isLast) resolve(Buffer.concat(chunks, size));
      });
    }).finally(() => pace?.stop());
  }

  /** Reports an error that no handler should have thrown. */
  report(error: unknown): void {
    this.#res.report('request', error);
  }

  /** @param code - of the problem, where it is one */
  send(response: RouteResponse, close: boolean, code?: ProblemCode): void {
    const res = this.#res;
    res.code = code;
    res.cork(() => {
      res.writeStatus(statusText(response.status));
      res.writeHeader('Content-Type', response.contentType ?? 'application/json');
      res.writeHeader('Cache-Control', 'no-store');
      for (const [name, value] of Object.entries(response.headers ?? {})) res.writeHeader(name, value);
      res.end(response.body, close);
    });
  }
}

/**
 * Serves routes on an app of uWebSockets.js; every error becomes `application/problem+json`.
 *
 * @param rest - whether paths without a route are answered too, with a problem. @default false: they are left to others
 */
export function serveRoutes(
  app: { any(pattern: string, handler: Handler): unknown },
  routes: readonly Route[],
  rest = false,
): void {
  const byPath = new Map<string, Route[]>();
  for (const route of routes) byPath.set(route.path, [...(byPath.get(route.path) ?? []), route]);

  async function answer(exchange: Exchange, request: RouteRequest, lengthBytes: number): Promise<void> {
    let close = false;
    let room: BodyRoom | undefined;
    try {
      const onPath = byPath.get(request.path) ?? byPath.get(request.path.replace(/[^/]*$/, '*'));
      if (onPath === undefined)
        throw new Problem('not_found', `There is nothing at ${request.path.slice(0, MAX_SHOWN_PATH)}.`);
      const wanted = request.method === 'HEAD' ? 'GET' : request.method;
      const route = onPath.find(({ method }) => method === wanted);
      if (route === undefined) {
        const allow = onPath.map(({ method }) => method).join(', ');
        throw new Problem('method_not_allowed', `${request.path} takes ${allow}, not ${request.method}.`, {
          headers: { Allow: allow },
        });
      }
      route.guard?.(request);
      let body: Buffer | undefined = request.body;
      if (route.method !== 'GET') {
        const encoding = request.header('content-encoding');
        if (isEncoded(encoding)) {
          throw new Problem(
            'unsupported_encoding',
            `Send the body as it is; "${encoding.trim().slice(0, 64)}" is not decoded.`,
          );
        }
        const maxBytes = route.maxBodyBytes ?? 0;
        // A body that is announced too large is not read at all.
        room = route.bodies?.open();
        body = lengthBytes > maxBytes ? undefined : await exchange.read(maxBytes, room, lengthBytes);
        if (exchange.aborted) return;
        if (body === undefined) {
          // The rest of the body is still on its way; the connection cannot be used for another request.
          close = true;
          throw new Problem('body_too_large', `The body is longer than ${maxBytes} bytes. Send it in parts.`);
        }
      }
      exchange.send(await route.handle({ ...request, body }), close);
    } catch (error) {
      if (!(error instanceof Problem)) exchange.report(error);
      const problem = error instanceof Problem ? error : new Problem('internal', HTTP_ERRORS.internal.message);
      // The rest of that body may still come.
      if (problem.code === 'request_timeout') close = true;
      exchange.send(problemResponse(problem), close, problem.code);
    } finally {
      room?.close();
    }
  }

  const serve = (res: GuardedResponse, req: GuardedRequest): Promise<void> => {
    const headers = new Map(HEADERS.map((name) => [name as string, req.getHeader(name)]));
    const request = {
      method: req.getMethod().toUpperCase(),
      path: req.getUrl(),
      query: new URLSearchParams(req.getQuery()),
      header: (name: string): string => headers.get(name) ?? '',
      remoteAddress: new Uint8Array(res.getRemoteAddress().slice(0)),
      body: NO_BODY,
    };
    return answer(new Exchange(res), request, req.head.contentLengthBytes);
  };
  for (const path of rest ? ['/*'] : byPath.keys()) app.any(path, serve);
}
