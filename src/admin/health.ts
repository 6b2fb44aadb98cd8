import type { z } from 'zod';
import type { healthSchema, notReadyReasonSchema, readinessSchema } from './answers.js';
import type { Route } from '../http/router.js';

/** Why a pod should get no new clients. */
export type NotReadyReason = z.infer<typeof notReadyReasonSchema>;

/** What the process knows of its own state. */
export interface Readiness {
  /** Empty when the pod is ready. */
  reasons(): readonly NotReadyReason[];
}

/** `/healthz`: the event loop turns. `/readyz`: clients may be sent here. */
export function healthRoutes(readiness: Readiness): Route[] {
  const healthy = JSON.stringify({ status: 'ok' } satisfies z.infer<typeof healthSchema>);
  return [
    { method: 'GET', path: '/healthz', handle: () => ({ status: 200, body: healthy }) },
    {
      method: 'GET',
      path: '/readyz',
      handle: () => {
        const reasons = readiness.reasons();
        const ready = reasons.length === 0;
        const answer: z.infer<typeof readinessSchema> = { status: ready ? 'ready' : 'not ready', reasons };
        return { status: ready ? 200 : 503, body: JSON.stringify(answer) };
      },
    },
  ];
}
