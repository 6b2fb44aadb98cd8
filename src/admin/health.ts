import type { z } from 'zod';
import type { healthSchema, notReadyReasonSchema, readinessSchema, redisCauseSchema } from './answers.js';
import type { Route } from '../http/router.js';

/** Why a pod should get no new clients. */
export type NotReadyReason = z.infer<typeof notReadyReasonSchema>;

/** Something of Redis that does not work, and why. */
export type RedisCause = z.infer<typeof redisCauseSchema>;

/** What the process knows of its own state. */
export interface Readiness {
  /** Empty when the pod is ready. */
  reasons(): readonly NotReadyReason[];
  /** What is wrong with Redis; empty where nothing is known to be. */
  causes(): readonly RedisCause[];
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
        const causes = readiness.causes();
        const answer: z.infer<typeof readinessSchema> = {
          status: ready ? 'ready' : 'not ready',
          reasons,
          ...(causes.length > 0 && { causes }),
        };
        return { status: ready ? 200 : 503, body: JSON.stringify(answer) };
      },
    },
  ];
}
