import type { Logger } from 'pino';
import { serveRoutes } from './admin/http.js';
import { type OnRejected, type Publisher, publishRoute } from './admin/publish.js';
import { type DashboardInfo, infoRoute } from './dashboard/info.js';
import { loadPage } from './dashboard/page-files.js';
import { type SameMachineOptions, publishRefusal, sameMachineGuard } from './dashboard/same-machine.js';
import { servePage } from './dashboard/serve-page.js';
import type { Handler } from './http/guarded-app.js';

/** What the dashboard is made of. */
export interface DashboardParts extends SameMachineOptions {
  /** What comes before its paths, such as `/feed`; empty for nothing. */
  readonly basePath: string;
  readonly describe: () => DashboardInfo;
  readonly publisher: Publisher;
  /** Longest signal, in bytes. */
  readonly maxSignalBytes: number;
  readonly onRejected: OnRejected;
  readonly log: Logger;
}

/** The part of the composition root that puts the dashboard on the public port; without a built page nothing is served. */
export function serveDashboard(app: { any(pattern: string, handler: Handler): unknown }, parts: DashboardParts): void {
  const { basePath, describe, publisher, maxSignalBytes, onRejected, log } = parts;
  const page = loadPage(basePath);
  if (page === undefined) {
    log.warn('the dashboard is not built, so there is no page at "/"; run "npm run build", or set DASHBOARD to off');
    return;
  }
  servePage(app, page);
  // Somebody types the prefix alone; the page's own links are relative to the slash.
  if (basePath !== '') {
    app.any('', (res) => {
      res.cork(() => res.writeStatus('308 Permanent Redirect').writeHeader('Location', `${basePath}/`).end());
    });
  }
  serveRoutes(app, [
    infoRoute(describe, (request) => publishRefusal(request, parts, false) === undefined),
    publishRoute({
      path: '/dashboard/signals',
      event: 'new_signal',
      publisher,
      guard: sameMachineGuard(parts),
      maxSignalBytes,
      maxItems: 1,
      onRejected,
    }),
  ]);
}
