'use client';
// The first line tells frameworks with server components that hooks run in browsers.
import { useEffect, useMemo, useSyncExternalStore } from 'react';
import type { SignalClient, SignalClientOptions } from './signal-client.js';
import { NOTHING, type SignalSnapshot, SignalStore } from './signal-store.js';

// What a program needs to name what it gets from here: it can import from no other file of the package.
export type { SignalSnapshot, TopicsError } from './signal-store.js';

/** Options of {@link useSignals}. */
export interface UseSignalsOptions extends SignalClientOptions {
  /** Signals that are kept for the component. @default 100 */
  readonly limit?: number | undefined;
}

/**
 * Signals in a React component (18 or newer): the newest first, with the statuses, the state of the connection, and losses.
 *
 * Renders at most once a frame, however many signals arrive. On a server it returns an empty snapshot and does not connect.
 *
 * @param source - the address of a gateway: the component has a connection of its own. Or a client that several components
 *   share, which is not closed; of the options only `topics` and `limit` count then, and `topics` are the client's, so of all of them
 * @param options - `limit` and `topics` may change at any time, the others only with `source`
 */
export function useSignals(source: string | SignalClient, options: UseSignalsOptions = {}): SignalSnapshot {
  const { limit, ...rest } = options;
  // Not by the options too: an object of options is a new one in every render.
  const store = useMemo(() => new SignalStore(source, rest, limit), [source]);
  useEffect(() => store.configure(rest, limit));
  return useSyncExternalStore(store.listen, store.snapshot, serverSnapshot);
}

function serverSnapshot(): SignalSnapshot {
  return NOTHING;
}
