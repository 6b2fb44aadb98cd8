import { type EntriesRouteOptions, type EntryStore, entriesRoute } from './entries.js';
import { type HistorySource, historyRoute } from './history.js';
import type { Route } from '../http/router.js';

/**
 * `GET /v1/signals` and `DELETE /v1/entries/<offset>`: what is in the journal, and one entry out of it.
 *
 * @param isAvailable - whether the journal is in reach
 */
export function journalRoutes(
  journal: HistorySource & EntryStore,
  isAvailable: () => boolean,
  options: Omit<EntriesRouteOptions, 'store' | 'isAvailable'>,
): Route[] {
  return [historyRoute(journal, isAvailable, options.guard), entriesRoute({ ...options, isAvailable, store: journal })];
}
