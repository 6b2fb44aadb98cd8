import type { Logger } from 'pino';
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { serveRoutes } from './admin/http.js';
import { type OnRejected, type Publisher, publishRoute } from './admin/publish.js';
import { type DashboardInfo, infoRoute } from './dashboard/info.js';
import { loadPage } from './dashboard/page-files.js';
import { type SameMachineOptions, publishRefusal, sameMachineGuard } from './dashboard/same-machine.js';
import { servePage } from './dashboard/serve-page.js';

/** What the dashboard is made of. */
export interface DashboardParts extends SameMachineOptions {
  readonly describe: () => DashboardInfo;
  readonly publisher: Publisher;
  /** Longest signal, in bytes. */
  readonly maxSignalBytes: number;
  readonly onRejected: OnRejected;
  readonly log: Logger;
}

/** The part of the composition root that puts the dashboard on the public port; without a built page nothing is served. */
export function serveDashboard(
  app: { any(pattern: string, handler: (res: HttpResponse, req: HttpRequest) => void): unknown },
  parts: DashboardParts,
): void {
  const { describe, publisher, maxSignalBytes, onRejected, log } = parts;
  const page = loadPage();
  if (page === undefined) {
    log.warn('the dashboard is not built, so there is no page at "/"; run "npm run build", or set DASHBOARD to off');
    return;
  }
  servePage(app, page);
  serveRoutes(
    app,
    [
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
    ],
    log,
  );
}
