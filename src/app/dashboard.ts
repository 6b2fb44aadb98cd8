import type { Logger } from 'pino';
import { keyCheck, publishGuard } from '../admin/access.js';
import { serveRoutes } from '../http/router.js';
import { type OnRejected, type Publisher, publishRoute } from '../admin/publish.js';
import type { DashboardInfo } from '../dashboard/dashboard-info.js';
import { infoRoute } from '../dashboard/info.js';
import { loadPage } from '../dashboard/page-files.js';
import { linkGuard, newPublishToken } from '../dashboard/publish-access.js';
import { servePage } from '../dashboard/serve-page.js';
import type { Handler } from '../http/guarded-app.js';

/** What the dashboard is built from. */
export interface DashboardParts {
  /** What comes before its paths, such as `/feed`; may be empty. */
  readonly basePath: string;
  readonly describe: () => DashboardInfo;
  readonly pod: string;
  /** Keys of the publish API: if there are any, the page publishes with one of them, and there is no link. */
  readonly apiKeys: readonly string[];
  readonly publisher: Publisher;
  readonly maxSignalBytes: number;
  readonly onRejected: OnRejected;
  /** Called for every page that presents a wrong token or key. */
  readonly onWrong: () => void;
  readonly log: Logger;
}

/**
 * Puts the dashboard on the public port. If the page is not built, nothing is served.
 *
 * @returns the token that the page publishes with, made for this start; `undefined` if `API_KEY` takes its place
 */
export function serveDashboard(
  app: { any(pattern: string, handler: Handler): unknown },
  parts: DashboardParts,
): string | undefined {
  const { basePath, describe, pod, apiKeys, publisher, maxSignalBytes, onRejected, onWrong, log } = parts;
  const page = loadPage(basePath);
  if (page === undefined) {
    log.warn('the dashboard is not built, so there is no page at "/"; run "npm run build", or set DASHBOARD to off');
    return undefined;
  }
  const token = apiKeys.length === 0 ? newPublishToken() : undefined;
  const check = keyCheck(token === undefined ? apiKeys : [token]);
  const guard = token === undefined ? publishGuard(apiKeys) : linkGuard(check, pod);
  servePage(app, page);
  // For whoever types the prefix alone; the links of the page are relative to the slash.
  if (basePath !== '') {
    app.any('', (res) => {
      res.cork(() => res.writeStatus('308 Permanent Redirect').writeHeader('Location', `${basePath}/`).end());
    });
  }
  serveRoutes(app, [
    infoRoute({ describe, publishWith: token === undefined ? 'api_key' : 'link', check, onWrong }),
    publishRoute({
      path: '/dashboard/signals',
      event: 'new_signal',
      publisher,
      guard,
      maxSignalBytes,
      maxItems: 1,
      onRejected,
    }),
  ]);
  return token;
}
