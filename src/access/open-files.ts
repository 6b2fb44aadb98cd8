import { readFileSync } from 'node:fs';

/** Files that are kept for what is not a client: Redis, the admin port, and clients that are only let in to be refused. */
const RESERVE = 200;
/** Of a small limit the reserve takes a share. */
const RESERVE_SHARE = 0.25;

/**
 * How many clients the process has open files for: each connection is one, and a process that has none left can neither
 * take a client nor tell it so.
 *
 * Source: `/proc/self/limits` (proc(5)).
 *
 * @returns `Infinity` where there is no limit, or none that can be read
 */
export function clientsByOpenFiles(): number {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return Infinity;
  }
  const limit = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  return Math.floor(limit - Math.min(RESERVE, limit * RESERVE_SHARE));
}
