import { nowMicros, signalTexts, symbolName } from './message.js';
import type { RunningServer } from './servers.js';

/** Most signals of one request. */
const BATCH = 1000;

/** Signals that go into the journal over HTTP. */
export interface PostPlan {
  /** Number of the first signal. */
  readonly from: number;
  readonly signals: number;
  /** Bytes of each signal's JSON; 0 for as few as it needs. */
  readonly payload: number;
  /** @default that of the documentation */
  readonly symbol?: string;
}

/**
 * Puts signals into the journal as fast as it takes them.
 *
 * @returns the offset of the first
 * @throws Error if the server refuses them
 */
export async function postSignals(server: Pick<RunningServer, 'publishUrl'>, plan: PostPlan): Promise<string> {
  const { from, signals, payload, symbol = symbolName(0, 1) } = plan;
  const make = signalTexts(payload);
  const text = (n: number, due: number): string => make(n, due).replace(symbolName(0, 1), symbol);
  let first: string | undefined;
  for (let next = from; next < from + signals; next += BATCH) {
    const count = Math.min(BATCH, from + signals - next);
    const due = nowMicros();
    const body = `[${Array.from({ length: count }, (_, i) => text(next + i, due)).join()}]`;
    const response = await fetch(server.publishUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    if (response.status !== 202) throw new Error(`The gateway answered ${response.status} to ${count} signals.`);
    const { offsets } = (await response.json()) as { offsets: string[] };
    first ??= offsets[0];
  }
  if (first === undefined) throw new Error('No signals were posted.');
  return first;
}
