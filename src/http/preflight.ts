import type { Handler } from './guarded-app.js';

/** Seconds for which a browser may keep the answer. */
const MAX_AGE_SECONDS = 600;

/** A comma-separated list of header names (RFC 9110, 5.6.1 and 5.1). */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;

/** Names that a page may send in any case. */
const USUAL_HEADERS = ['Content-Type', 'Authorization'];
const USUAL = new Set(USUAL_HEADERS.map((name) => name.toLowerCase()));

/** @param asked - header `Access-Control-Request-Headers` */
function allowedHeaders(asked: string): string {
  if (!HEADER_NAMES.test(asked)) return USUAL_HEADERS.join(', ');
  const more = asked.split(/[ \t]*,[ \t]*/).filter((name) => !USUAL.has(name.toLowerCase()));
  return [...USUAL_HEADERS, ...more].join(', ');
}

/**
 * A method that no route takes is allowed too, so that the page sees the 405.
 *
 * @param asked - header `Access-Control-Request-Method`
 */
function allowedMethods(asked: string): string {
  return /^[A-Z]{1,20}$/.test(asked) && asked !== 'GET' && asked !== 'POST' ? `GET, POST, ${asked}` : 'GET, POST';
}

/** How preflight requests are answered. */
export interface PreflightOptions {
  /** Whether pages of an origin may use the gateway. */
  readonly allows: (origin: string, host: string) => boolean;
  /** Paths that begin with this are closed to pages of other origins. */
  readonly ownPages: string;
}

/**
 * Answers preflight requests (Fetch standard, "CORS-preflight request"): an allowed page may send whatever headers it asks
 * for, since tracing tools add their own (`traceparent`, `baggage`, `sentry-trace`). A `*` is not enough: it does not cover
 * `Authorization`, and covers nothing where credentials are sent.
 */
export function preflight({ allows, ownPages }: PreflightOptions): Handler {
  return (res, req) => {
    const { origin, host } = req.head;
    const asked = req.getHeader('access-control-request-headers').trim();
    const mayCome = origin !== '' && allows(origin, host) && !req.getUrl().startsWith(ownPages);
    res.cork(() => {
      res.writeStatus('204 No Content');
      if (mayCome) {
        res.writeHeader('Access-Control-Allow-Methods', allowedMethods(req.getHeader('access-control-request-method')));
        res.writeHeader('Access-Control-Allow-Headers', allowedHeaders(asked));
        res.writeHeader('Access-Control-Max-Age', String(MAX_AGE_SECONDS));
      }
      res.endWithoutBody();
    });
  };
}
