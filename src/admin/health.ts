import type { Route } from './http.js';

/** Why a pod should get no new clients. */
export type NotReadyReason = 'starting' | 'redis' | 'draining' | 'overloaded';

/** What the process knows of its own state. */
export interface Readiness {
  /** Empty when the pod is ready. */
  reasons(): readonly NotReadyReason[];
}

/** `/healthz`: the event loop turns. `/readyz`: clients may be sent here. */
export function healthRoutes(readiness: Readiness): Route[] {
  return [
    { method: 'GET', path: '/healthz', handle: () => ({ status: 200, body: '{"status":"ok"}' }) },
    {
      method: 'GET',
      path: '/readyz',
      handle: () => {
        const reasons = readiness.reasons();
        const ready = reasons.length === 0;
        return {
          status: ready ? 200 : 503,
          body: JSON.stringify({ status: ready ? 'ready' : 'not ready', reasons }),
        };
      },
    },
  ];
}
