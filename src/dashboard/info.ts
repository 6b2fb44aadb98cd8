import type { AdminRequest, Route } from '../admin/http.js';

/** What the page is told of the pod that serves it. */
export interface DashboardInfo {
  readonly pod: string;
  readonly version: string;
  /** Clients on this pod. */
  readonly connections: number;
  /** Newest offset of the journal on this pod. */
  readonly head: string;
}

/** `GET /dashboard/info`: what the page shows of its pod, and whether it may publish. */
export function infoRoute(describe: () => DashboardInfo, mayPublish: (request: AdminRequest) => boolean): Route {
  return {
    method: 'GET',
    path: '/dashboard/info',
    handle: (request) => ({
      status: 200,
      headers: { 'X-Content-Type-Options': 'nosniff' },
      body: JSON.stringify({ ...describe(), mayPublish: mayPublish(request) }),
    }),
  };
}
