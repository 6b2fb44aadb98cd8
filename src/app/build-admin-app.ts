import type { TemplatedApp } from 'uWebSockets.js';
import { publishGuard } from '../admin/access.js';
import { type Pods, controlRoutes } from '../admin/control.js';
import type { Documents } from '../admin/documents.js';
import { type Readiness, healthRoutes } from '../admin/health.js';
import { journalRoutes } from '../admin/journal-routes.js';
import { type OnRejected, type Publisher, publishRoutes } from '../admin/publish.js';
import { GuardedApp } from '../http/guarded-app.js';
import { serveRoutes } from '../http/router.js';
import type { Base } from './base.js';
import type { JournalParts } from './build-journal.js';
import { ADMIN_ANSWERS, deletionObserver } from './observers.js';

/** What the admin port serves, beside the base. */
export interface AdminParts extends Pick<JournalParts, 'journal' | 'redis'> {
  readonly pods: Pods;
  readonly publisher: Publisher;
  readonly onRejected: OnRejected;
  readonly documents: Documents;
  readonly readiness: Readiness;
}

/** Builds the app behind the admin port. */
export function buildAdminApp({ config, uws, log, metrics, boundary }: Base, parts: AdminParts): TemplatedApp {
  const { pods, publisher, onRejected, documents, readiness, journal, redis } = parts;
  const { maxSignalBytes, apiKeys, maxHeaderBytes } = config;
  const app = uws.App();
  const guard = publishGuard(apiKeys);
  const routes = [
    ...healthRoutes(readiness),
    metrics.route(),
    ...documents.routes(),
    ...publishRoutes({ publisher, guard, maxSignalBytes, onRejected }),
    ...controlRoutes(pods, guard),
    ...journalRoutes(journal, {
      isAvailable: () => redis?.linked !== false,
      guard,
      hasKeys: apiKeys.length > 0,
      onDeleted: deletionObserver(metrics),
      log,
    }),
  ];
  serveRoutes(new GuardedApp(app, { boundary, policy: ADMIN_ANSWERS, maxHeaderBytes }), routes, true);
  return app;
}
