import { type EntriesRouteOptions, type EntryStore, entriesRoute } from './entries.js';
import { type HistorySource, historyRoute } from './history.js';
import type { Route } from '../http/router.js';

/** `GET /v1/signals` and `DELETE /v1/entries/<offset>`: reads the journal, and deletes one entry of it. */
export function journalRoutes(
  journal: HistorySource & EntryStore,
  options: Omit<EntriesRouteOptions, 'store'>,
): Route[] {
  return [historyRoute(journal, options.isAvailable, options.guard), entriesRoute({ ...options, store: journal })];
}
