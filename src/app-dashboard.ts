import type { Logger } from 'pino';
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { keyCheck, publishGuard } from './admin/access.js';
import { serveRoutes } from './admin/http.js';
import { type OnRejected, type Publisher, publishRoute } from './admin/publish.js';
import { type DashboardInfo, infoRoute } from './dashboard/info.js';
import { loadPage } from './dashboard/page-files.js';
import { counted, linkGuard, newPublishToken } from './dashboard/publish-access.js';
import { servePage } from './dashboard/serve-page.js';
import type { ProblemCode } from './errors.js';

/** What the dashboard is made of. */
export interface DashboardParts {
  readonly describe: () => DashboardInfo;
  readonly pod: string;
  /** Keys of the publish API: where there are any, the page publishes with one of them, and there is no link. */
  readonly apiKeys: readonly string[];
  readonly publisher: Publisher;
  /** Longest signal, in bytes. */
  readonly maxSignalBytes: number;
  readonly onRejected: OnRejected;
  /** Told of everybody who may not publish. */
  readonly onRefused: (code: ProblemCode) => void;
  readonly log: Logger;
}

/**
 * The part of the composition root that puts the dashboard on the public port; without a built page nothing is served.
 *
 * @returns the token that the page publishes with, made for this start; `undefined` where `API_KEY` takes its place
 */
export function serveDashboard(
  app: { any(pattern: string, handler: (res: HttpResponse, req: HttpRequest) => void): unknown },
  parts: DashboardParts,
): string | undefined {
  const { describe, pod, apiKeys, publisher, maxSignalBytes, onRejected, onRefused, log } = parts;
  const page = loadPage();
  if (page === undefined) {
    log.warn('the dashboard is not built, so there is no page at "/"; run "npm run build", or set DASHBOARD to off');
    return undefined;
  }
  const token = apiKeys.length === 0 ? newPublishToken() : undefined;
  const check = keyCheck(token === undefined ? apiKeys : [token]);
  const guard = token === undefined ? publishGuard(apiKeys) : linkGuard(check, pod);
  servePage(app, page);
  serveRoutes(
    app,
    [
      infoRoute(describe, token === undefined ? 'api_key' : 'link', (request) => check(request) === 'known'),
      publishRoute({
        path: '/dashboard/signals',
        event: 'new_signal',
        publisher,
        guard: counted(guard, onRefused),
        maxSignalBytes,
        maxItems: 1,
        onRejected,
      }),
    ],
    log,
  );
  return token;
}
