import type { AdminRequest, Route } from '../admin/http.js';
import type { PublishWith } from './publish-access.js';

/** What the page is told of the pod that serves it. */
export interface DashboardInfo {
  readonly pod: string;
  readonly version: string;
  /** Clients on this pod. */
  readonly connections: number;
  /** Newest offset of the journal on this pod. */
  readonly head: string;
}

/**
 * `GET /dashboard/info`: what the page shows of its pod, and whether what it presents lets it publish.
 *
 * @param publishWith - what it has to present
 */
export function infoRoute(
  describe: () => DashboardInfo,
  publishWith: PublishWith,
  mayPublish: (request: AdminRequest) => boolean,
): Route {
  return {
    method: 'GET',
    path: '/dashboard/info',
    handle: (request) => ({
      status: 200,
      headers: { 'X-Content-Type-Options': 'nosniff' },
      body: JSON.stringify({ ...describe(), publishWith, mayPublish: mayPublish(request) }),
    }),
  };
}
