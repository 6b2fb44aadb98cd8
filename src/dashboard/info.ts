import type { PresentedKey } from '../admin/access.js';
import type { RouteRequest, Route } from '../http/router.js';
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

/** How the route decides what a page may. */
export interface InfoRouteOptions {
  readonly describe: () => DashboardInfo;
  /** What a page has to present to publish. */
  readonly publishWith: PublishWith;
  /** Looks at what it presents. */
  readonly check: (request: RouteRequest) => PresentedKey;
  /** Told of every page that presents something else: whoever guesses keys is to be seen. */
  readonly onWrong: () => void;
}

/** `GET /dashboard/info`: what the page shows of its pod, and whether what it presents lets it publish. */
export function infoRoute({ describe, publishWith, check, onWrong }: InfoRouteOptions): Route {
  return {
    method: 'GET',
    path: '/dashboard/info',
    handle: (request) => {
      const presented = check(request);
      if (presented !== 'known' && presented !== 'none') onWrong();
      const body = JSON.stringify({ ...describe(), publishWith, mayPublish: presented === 'known' });
      return { status: 200, headers: { 'X-Content-Type-Options': 'nosniff' }, body };
    },
  };
}
