import { expect } from 'vitest';
import { type CheckedClient, summary } from './checked-client.js';

/** Expects that clients had no fault and no gap, and recovered at each reconnect. @returns their {@link summary} */
export function expectAllRecovered(clients: readonly CheckedClient[]): ReturnType<typeof summary> {
  const result = summary(clients);
  expect({ ...result, bad: result.bad.map((c) => c.toJSON()) }).toMatchObject({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    recovered: result.reconnects,
    bad: [],
  });
  return result;
}
