import { type Offset, formatOffset, parseOffset } from '../contract/offset.js';
import { Problem, messageOf } from '../errors.js';
import type { RouteRequest, RouteResponse, Route } from '../http/router.js';

/** An entry as the history shows it. */
export interface HistoryEntry extends Offset {
  readonly event: string;
  /** The payload as it was published, JSON text. */
  readonly json: string;
  /** Whether it was deleted, and has no payload any more. */
  readonly deleted?: true;
}

/** Where the history comes from. */
export interface HistorySource {
  /** As in `Journal.back`. */
  back(count: number): Offset | Promise<Offset>;
  /** As in `Journal.resolve`. */
  resolve(
    offset: Offset,
  ): Promise<{ readonly ok: true } | { readonly ok: false; readonly reason: 'expired' | 'epoch' }>;
  /** As in `Journal.read`. */
  read(
    after: Offset,
    limit: number,
  ): readonly HistoryEntry[] | Promise<readonly HistoryEntry[] | undefined> | undefined;
}

/** Entries in one answer unless more are asked for. */
export const DEFAULT_LIMIT = 100;
/** Most entries in one answer. */
export const MAX_LIMIT = 1000;
/** Entries read at once after deleted ones, whose number is not known. */
const READ_ON = 100;

function readLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new Problem(
    'invalid_limit',
    `"limit" takes a whole number from 1 to ${MAX_LIMIT}; got "${text.slice(0, 64)}".`,
  );
}

function readAfter(text: string | null): Offset | undefined {
  if (text === null) return undefined;
  const offset = parseOffset(text);
  if (offset !== undefined) return offset;
  throw new Problem(
    'invalid_offset',
    `"after" takes an offset as the gateway gives it, "<epoch>:<seq>"; got "${text.slice(0, 64)}".`,
  );
}

async function lost(source: HistorySource, reason: 'expired' | 'epoch', after: Offset): Promise<Problem> {
  const oldest = formatOffset(await source.back(Infinity));
  const detail =
    reason === 'expired'
      ? `Entries after ${formatOffset(after)} are no longer kept.`
      : `The journal of ${formatOffset(after)} no longer exists.`;
  return new Problem(`offset_${reason}`, `${detail} The oldest that are kept come after ${oldest}.`, {
    members: { oldest },
  });
}

async function page(source: HistorySource, { query }: RouteRequest): Promise<RouteResponse> {
  const limit = readLimit(query.get('limit'));
  const asked = readAfter(query.get('after'));
  const after = asked ?? (await source.back(limit));
  const resolution = await source.resolve(after);
  if (!resolution.ok) throw await lost(source, resolution.reason, after);
  const list: string[] = [];
  const deleted: string[] = [];
  let next = after;
  // An answer without entries says that there are no more yet, so a page of deleted entries alone is not an answer.
  for (let isEnd = false, count = limit; list.length === 0 && deleted.length < MAX_LIMIT && !isEnd;) {
    const entries = await source.read(next, count);
    if (entries === undefined) throw await lost(source, 'expired', next);
    for (const entry of entries) {
      if (list.length === limit || deleted.length === MAX_LIMIT) break;
      next = entry;
      const offset = formatOffset(entry);
      // The payload is sent unchanged: parsing and serialising it would change numbers that a double cannot hold.
      if (entry.deleted) deleted.push(JSON.stringify(offset));
      else list.push(`{"offset":"${offset}","event":"${entry.event}","data":${entry.json}}`);
    }
    isEnd = entries.length === 0;
    count = Math.max(limit, READ_ON);
  }
  const gone = deleted.length === 0 ? '' : `"deleted":[${deleted.join(',')}],`;
  return { status: 200, body: `{"entries":[${list.join(',')}],${gone}"next":"${formatOffset(next)}"}` };
}

function away(why: string): Problem {
  return new Problem('journal_unavailable', `The journal cannot be read (${why}). Try again.`, {
    headers: { 'Retry-After': '1' },
  });
}

/**
 * `GET /v1/signals?after=<offset>&limit=<n>`: what the journal has after an offset, oldest first; without `after` the
 * newest entries. `next` is the offset to ask for what follows.
 *
 * @param isAvailable - whether the journal can be reached; what is in memory may be out of date
 */
export function historyRoute(
  source: HistorySource,
  isAvailable: () => boolean,
  guard: (request: RouteRequest) => void,
): Route {
  return {
    method: 'GET',
    path: '/v1/signals',
    guard,
    handle: async (request) => {
      if (!isAvailable()) throw away('the link to Redis is down');
      try {
        return await page(source, request);
      } catch (error) {
        throw error instanceof Problem ? error : away(messageOf(error));
      }
    },
  };
}
