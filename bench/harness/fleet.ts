import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FleetPlan } from '../load/fleet-types.js';
import { Fleet } from '../load/fleet.js';
import { type PublishPlan, type Published, publishOpenLoop } from '../load/publisher.js';
import type { Progress } from '../scenario.js';

/** When nothing has come for this long after the last signal, what is not there counts as lost. */
export const SETTLE_LIMIT_MS = 10_000;
/** A server that has a backlog is given this long to deliver it: its rate is known only once it has. */
export const BACKLOG_LIMIT_MS = 180_000;

/** Connects a fleet, does something with it, and closes it, whatever happens. */
export async function withFleet<T>(
  plan: FleetPlan,
  progress: Progress,
  body: (fleet: Fleet) => Promise<T>,
): Promise<T> {
  if (plan.samples !== undefined) await mkdir(dirname(plan.samples), { recursive: true });
  const fleet = await Fleet.connect(plan, (connected) => progress.within(0, { connected }));
  try {
    return await body(fleet);
  } finally {
    await fleet.close();
  }
}

/** Publishes to a server with a fleet on it; ends at once if the fleet breaks. */
export async function publishTo(fleet: Fleet, plan: PublishPlan): Promise<Published> {
  const abort = new AbortController();
  try {
    return await Promise.race([publishOpenLoop({ ...plan, abort: abort.signal }), fleet.failure]);
  } finally {
    abort.abort();
  }
}
