import type { Topics } from '../load/message.js';
import type { Progress } from '../scenario.js';
import { BACKLOG_LIMIT_MS, SETTLE_LIMIT_MS, publishTo, withFleet } from './fleet.js';
import type { Bed } from './harness.js';

/** A server's code is compiled by then: what it costs does not fall any more. */
export const WARM_UP_SIGNALS = 10_000;
/** So many that each is a turn of the loop of its own, or nearly. */
const RATE = 2500;
/** Few, since what is warmed up is what a signal costs and not what its deliveries do. */
const CLIENTS_OF_A_POD = 2;

const SILENT: Progress = { steps: () => {}, step: () => {}, within: () => {} };

/**
 * Passes signals through fresh servers before they are measured. Node.js compiles what runs often, in steps and in threads
 * of its own; a server that has just been started would be charged for that in a run of seconds, and one that serves for
 * days is not.
 *
 * @param signals - how many; 0 for none
 * @throws Error if the servers did not pass all of them on
 */
export async function warmUp({ servers, redis }: Bed, signals: number, topics?: Topics): Promise<void> {
  if (signals === 0) return;
  const plan = {
    ports: servers.map(({ port }) => port),
    clients: servers.length * CLIENTS_OF_A_POD,
    workers: 1,
    signals,
    ...(topics && { topics }),
  };
  await withFleet(plan, SILENT, async (fleet) => {
    await fleet.begin(0);
    const symbols = topics?.symbols ?? 1;
    await publishTo(fleet, { redisUrl: redis.url, from: 0, signals, rate: RATE, payload: 0, symbols });
    await fleet.settled(signals, SETTLE_LIMIT_MS, BACKLOG_LIMIT_MS);
    const { lost } = await fleet.report(signals);
    if (lost > 0) throw new Error(`The warm-up lost ${lost} deliveries`);
  });
}
