import type { Handler } from '../http/guarded-app.js';
import type { GuardedRequest } from '../http/guarded-request.js';
import type { GuardedResponse } from '../http/guarded-response.js';
import type { PageFile } from './page-files.js';

/** The app that the page is served on. */
interface PageApp {
  any(pattern: string, handler: Handler): unknown;
}

/** Where the scripts and styles of the page are. */
const ASSETS = '/dashboard/assets/';

/** Only the gateway's own files, nothing inline, and no other page around it. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  ['Content-Security-Policy', CONTENT_SECURITY_POLICY],
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];

function takesGzip(header: string): boolean {
  return header.split(',').some((part) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(part));
}

/** A file, and how long it may be kept. */
interface Answer {
  readonly file: PageFile;
  readonly cacheControl: string;
}

function send(res: GuardedResponse, req: GuardedRequest, { file, cacheControl }: Answer): void {
  // Everything is read before the first write: the request is valid only until then.
  const gzip = takesGzip(req.getHeader('accept-encoding'));
  const etag = gzip ? file.etag.replace(/"$/, '-gzip"') : file.etag;
  const isKnown = req
    .getHeader('if-none-match')
    .split(',')
    .some((tag) => tag.trim().replace(/^W\//, '') === etag);
  res.cork(() => {
    res.writeStatus(isKnown ? '304 Not Modified' : '200 OK');
    for (const [name, value] of SECURITY_HEADERS) res.writeHeader(name, value);
    res.writeHeader('Cache-Control', cacheControl).writeHeader('ETag', etag).writeHeader('Vary', 'Accept-Encoding');
    if (isKnown) {
      res.endWithoutBody();
      return;
    }
    res.writeHeader('Content-Type', file.contentType);
    const body = gzip ? file.gzipped : file.body;
    if (gzip) res.writeHeader('Content-Encoding', 'gzip');
    res.end(body);
  });
}

/**
 * Serves the page at `/` and its files below `/dashboard/assets/`. Other paths, and methods other than GET and HEAD, are left
 * to the next handler.
 */
export function servePage(app: PageApp, page: ReadonlyMap<string, PageFile>): void {
  const serve =
    (name: (url: string) => string, cacheControl: string) => (res: GuardedResponse, req: GuardedRequest) => {
      const method = req.getMethod();
      const file = method === 'get' || method === 'head' ? page.get(name(req.getUrl())) : undefined;
      if (file === undefined) req.setYield(true);
      else send(res, req, { file, cacheControl });
    };
  app.any(
    '/',
    serve(() => 'index.html', 'no-cache'),
  );
  // Their names contain a hash of their content.
  app.any(
    `${ASSETS}*`,
    serve((url) => url.slice('/dashboard/'.length), 'public, max-age=31536000, immutable'),
  );
}
