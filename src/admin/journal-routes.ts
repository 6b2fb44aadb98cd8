import { type EntriesRouteOptions, type EntryStore, entriesRoute } from './entries.js';
import { type HistorySource, historyRoute } from './history.js';
import type { Route } from './http.js';

/** `GET /v1/signals` and `DELETE /v1/entries/<offset>`: what is in the journal, and one entry out of it. */
export function journalRoutes(
  journal: HistorySource & EntryStore,
  options: Omit<EntriesRouteOptions, 'store'>,
): Route[] {
  return [historyRoute(journal, options.isAvailable, options.guard), entriesRoute({ ...options, store: journal })];
}
