import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { Logger } from 'pino';
import { PROBLEMS, Problem, messageOf } from '../errors.js';
import { sendBody } from '../send-body.js';

/** A request as handlers see it: everything is copied, since uWebSockets.js takes its own objects back. */
export interface AdminRequest {
  readonly method: string;
  readonly path: string;
  /** What follows the `?`, decoded. */
  readonly query: URLSearchParams;
  header(name: string): string;
  /** Names of all headers, in lower case. */
  readonly headerNames: readonly string[];
  /** The caller's address as bytes, 4 or 16 of them. */
  readonly remoteAddress: Uint8Array;
  readonly body: Buffer;
}

/** What a handler answers; it throws a {@link Problem} for everything that is not a success. */
export interface AdminResponse {
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
  /** Looks at the request before its body is read; throws a {@link Problem} to refuse it. */
  readonly guard?: (request: AdminRequest) => void;
  /** Longest body taken, in bytes. @default 0 */
  readonly maxBody?: number;
  readonly handle: (request: AdminRequest) => AdminResponse | Promise<AdminResponse>;
}

/** Headers that handlers may read; uWebSockets.js takes the request back when its handler returns. */
const HEADERS = ['authorization', 'content-type', 'content-length', 'host', 'origin', 'idempotency-key'] as const;

const STATUS_TEXT: Readonly<Record<number, string>> = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

function problemResponse(problem: Problem): AdminResponse {
  const { status, title } = PROBLEMS[problem.code];
  return {
    status,
    contentType: 'application/problem+json',
    headers: problem.headers,
    // Media type and members: RFC 9457.
    body: JSON.stringify({
      type: `urn:signal-gateway:problem:${problem.code}`,
      title,
      status,
      code: problem.code,
      detail: problem.message,
      ...problem.members,
    }),
  };
}

/** How many times the limit of a body without a length is read, and thrown away, before its sender is cut. */
const DISCARD_FACTOR = 4;

/** One request under way: knows whether the client is still there, which uWebSockets.js demands before every write. */
class Exchange {
  aborted = false;
  readonly #res: HttpResponse;
  readonly #headOnly: boolean;

  constructor(res: HttpResponse, headOnly: boolean) {
    this.#res = res;
    this.#headOnly = headOnly;
    res.onAborted(() => {
      this.aborted = true;
    });
  }

  /** Resolves with the body, or `undefined` when it is longer than `max` or the client went away. */
  read(max: number): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      let chunks: Buffer[] = [];
      let size = 0;
      this.#res.onAborted(() => {
        this.aborted = true;
        resolve(undefined);
      });
      this.#res.onData((chunk, isLast) => {
        size += chunk.byteLength;
        if (size > max) {
          chunks = [];
          // Read to its end, within reason: a client that is still writing would not get to see the answer.
          if (isLast || size > max * DISCARD_FACTOR) resolve(undefined);
          return;
        }
        // The chunk is only lent for the time of this call.
        chunks.push(Buffer.from(chunk.slice(0)));
        if (isLast) resolve(Buffer.concat(chunks, size));
      });
    });
  }

  send(response: AdminResponse, close: boolean): void {
    if (this.aborted) return;
    const res = this.#res;
    res.cork(() => {
      res.writeStatus(`${response.status} ${STATUS_TEXT[response.status] ?? 'Status'}`);
      res.writeHeader('Content-Type', response.contentType ?? 'application/json');
      res.writeHeader('Cache-Control', 'no-store');
      for (const [name, value] of Object.entries(response.headers ?? {})) res.writeHeader(name, value);
      if (this.#headOnly) {
        // Told the length of a body that does not come, uWebSockets.js would wait for it.
        res.writeHeader('Content-Length', String(Buffer.byteLength(response.body))).endWithoutBody();
      } else if (close) res.end(response.body, true);
      else sendBody(res, response.body);
    });
  }
}

/**
 * Serves routes on an app of uWebSockets.js; every error becomes `application/problem+json`.
 *
 * @param rest - whether paths without a route are answered too, with a problem; otherwise they are somebody else's
 */
export function serveRoutes(
  app: { any(pattern: string, handler: (res: HttpResponse, req: HttpRequest) => void): unknown },
  routes: readonly Route[],
  log: Logger,
  rest = false,
): void {
  const byPath = new Map<string, Route[]>();
  for (const route of routes) byPath.set(route.path, [...(byPath.get(route.path) ?? []), route]);

  async function answer(exchange: Exchange, request: Omit<AdminRequest, 'body'>): Promise<void> {
    let close = false;
    try {
      const onPath = byPath.get(request.path) ?? byPath.get(request.path.replace(/[^/]*$/, '*'));
      if (onPath === undefined) throw new Problem('not_found', `There is nothing at ${request.path}.`);
      const wanted = request.method === 'HEAD' ? 'GET' : request.method;
      const route = onPath.find(({ method }) => method === wanted);
      if (route === undefined) {
        const allow = onPath.map(({ method }) => method).join(', ');
        throw new Problem('method_not_allowed', `${request.path} takes ${allow}, not ${request.method}.`, {
          headers: { Allow: allow },
        });
      }
      route.guard?.({ ...request, body: Buffer.alloc(0) });
      let body: Buffer | undefined = Buffer.alloc(0);
      if (route.method !== 'GET') {
        const max = route.maxBody ?? 0;
        // A body that is announced too large is not read at all.
        body = Number(request.header('content-length')) > max ? undefined : await exchange.read(max);
        if (exchange.aborted) return;
        if (body === undefined) {
          // The rest of the body is still on its way; the connection can not be used for another request.
          close = true;
          throw new Problem('body_too_large', `The body is longer than ${max} bytes. Send it in parts.`);
        }
      }
      exchange.send(await route.handle({ ...request, body }), close);
    } catch (error) {
      if (!(error instanceof Problem)) log.error({ err: error, path: request.path }, 'an admin request failed');
      const problem =
        error instanceof Problem
          ? error
          : new Problem('internal', 'Something went wrong in the gateway; its log has the details. Try again.');
      exchange.send(problemResponse(problem), close);
    }
  }

  const serve = (res: HttpResponse, req: HttpRequest): void => {
    const headers = new Map(HEADERS.map((name) => [name as string, req.getHeader(name)]));
    const headerNames: string[] = [];
    req.forEach((name) => headerNames.push(name));
    const request = {
      method: req.getMethod().toUpperCase(),
      path: req.getUrl(),
      query: new URLSearchParams(req.getQuery()),
      header: (name: string): string => headers.get(name) ?? '',
      headerNames,
      remoteAddress: new Uint8Array(res.getRemoteAddress().slice(0)),
    };
    answer(new Exchange(res, request.method === 'HEAD'), request).catch((error: unknown) =>
      log.error({ reason: messageOf(error) }, 'an admin response could not be sent'),
    );
  };
  for (const path of rest ? ['/*'] : byPath.keys()) app.any(path, serve);
}
