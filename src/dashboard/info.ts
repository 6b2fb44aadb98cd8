import type { PresentedKey } from '../admin/access.js';
import type { RouteRequest, Route } from '../http/router.js';
import type { DashboardInfo, PageInfo, PublishWith } from './dashboard-info.js';

/** How the route decides what a page may. */
export interface InfoRouteOptions {
  readonly describe: () => DashboardInfo;
  /** What a page must present to publish. */
  readonly publishWith: PublishWith;
  /** Checks what it presents. */
  readonly check: (request: RouteRequest) => PresentedKey;
  /** Called for every page that presents something else, so that guesses are counted. */
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
      const info: PageInfo = { ...describe(), publishWith, mayPublish: presented === 'known' };
      return { status: 200, headers: { 'X-Content-Type-Options': 'nosniff' }, body: JSON.stringify(info) };
    },
  };
}
