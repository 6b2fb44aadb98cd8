import type { Logger } from 'pino';
import { z } from 'zod';
import { type Offset, formatOffset, parseOffset } from '../contract/offset.js';
import { Problem, messageOf } from '../errors.js';
import { callerOf } from './caller.js';
import type { RouteRequest, RouteResponse, Route } from '../http/router.js';
import { readJson } from '../http/json-body.js';

/** What the log says about a deleted entry. */
interface DeletedEntry {
  readonly event: string;
  readonly symbol?: string;
  readonly service?: string;
}

/** Where entries are deleted. */
export interface EntryStore {
  /** As in `DeletingJournal.delete`. */
  delete(
    offset: Offset,
    reason: string,
  ): Promise<
    | { readonly outcome: 'deleted' | 'repeated'; readonly entry: DeletedEntry }
    | { readonly outcome: 'expired' }
    | { readonly outcome: 'missing' }
  >;
  /** As in `Journal.back`. */
  back(count: number): Offset | Promise<Offset>;
}

/** How entries are deleted over HTTP. */
export interface EntriesRouteOptions {
  readonly store: EntryStore;
  /** Whether the journal can be reached. */
  readonly isAvailable: () => boolean;
  readonly guard: (request: RouteRequest) => void;
  /** Whether `API_KEY` is set. */
  readonly hasKeys: boolean;
  /** Called for every entry that was deleted through this pod. */
  readonly onDeleted: () => void;
  readonly log: Logger;
}

const PATH = '/v1/entries/';

/** Longest reason, in characters. */
export const MAX_REASON_LENGTH = 256;

/** It is logged and kept in Redis: control characters would change what a terminal shows. */
const REASON_SHAPE = new RegExp(String.raw`^(?=.*\S)[^\u0000-\u001f\u007f-\u009f]*$`);

/** Why an entry is deleted. */
export const reasonSchema = z
  .string()
  .max(MAX_REASON_LENGTH)
  .regex(REASON_SHAPE)
  // Redis would keep another character in place of half of one.
  .refine((text) => !/\p{Cs}/u.test(text))
  .describe('For whoever reads the log: not empty, and without control characters.');

/** Body of `DELETE /v1/entries/{offset}`. */
export const deletionSchema = z.strictObject({ reason: reasonSchema });

function readOffset({ path }: RouteRequest): Offset {
  const text = path.slice(PATH.length);
  let decoded: string | undefined;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    // Not valid percent-encoding, so not an offset.
  }
  const offset = parseOffset(decoded);
  if (offset !== undefined) return offset;
  throw new Problem(
    'invalid_offset',
    `"${PATH}" is followed by an offset as the gateway gives it, "<epoch>:<seq>"; got "${text.slice(0, 64)}". Nothing was deleted.`,
  );
}

function refused(what: string): Problem {
  return new Problem(
    'invalid_reason',
    `${what} Say why the entry is deleted, in 1 to ${MAX_REASON_LENGTH} characters without control characters, as ` +
      '"?reason=..." or in the body as {"reason": "..."}. Nothing was deleted.',
  );
}

/** The reason in the query, which every client and proxy passes on with a DELETE, or in the body, which some drop. */
function readReason(request: RouteRequest): string {
  const given: unknown[] = request.query.getAll('reason');
  if (request.body.length > 0) {
    const body = deletionSchema.safeParse(readJson(request).value);
    if (!body.success) throw refused('The body has no valid reason.');
    given.push(body.data.reason);
  }
  const [reason, ...more] = new Set(given);
  if (reason === undefined) throw refused('There is no reason.');
  if (more.length > 0) throw refused('There are two reasons that differ.');
  const parsed = reasonSchema.safeParse(reason);
  if (!parsed.success) throw refused('The reason is not valid.');
  return parsed.data;
}

function away(why: string): Problem {
  return new Problem(
    'journal_unavailable',
    `The journal cannot be reached (${why}), so it is not known whether the entry is deleted. Send it again: it is safe.`,
    { headers: { 'Retry-After': '1' } },
  );
}

async function remove(options: EntriesRouteOptions, request: RouteRequest): Promise<RouteResponse> {
  const { store, hasKeys, onDeleted, log } = options;
  const offset = readOffset(request);
  const reason = readReason(request);
  const text = formatOffset(offset);
  if (!options.isAvailable()) throw away('the link to Redis is down');
  const result = await store.delete(offset, reason);
  if (result.outcome === 'missing') {
    throw new Problem(
      'entry_not_found',
      `There is no entry at ${text}, as far as the journal goes. Nothing was deleted.`,
    );
  }
  if (result.outcome === 'expired') {
    const oldest = formatOffset(await store.back(Infinity));
    throw new Problem('offset_expired', `The entry at ${text} is no longer kept, so nobody receives it.`, {
      members: { oldest },
    });
  }
  const already = result.outcome === 'repeated';
  const { event, symbol, service } = result.entry;
  const audit = { offset: text, reason, event, symbol, service, caller: callerOf(request, hasKeys) };
  if (already) log.info(audit, 'an entry of the journal is already deleted');
  else {
    onDeleted();
    log.warn(audit, 'an entry of the journal was deleted');
  }
  return { status: 200, body: JSON.stringify({ offset: text, deleted: true, already }) };
}

/** `DELETE /v1/entries/<offset>?reason=<why>`: deletes one entry, which nobody gets from then on. */
export function entriesRoute(options: EntriesRouteOptions): Route {
  return {
    method: 'DELETE',
    path: `${PATH}*`,
    guard: options.guard,
    maxBodyBytes: 4096,
    handle: async (request) => {
      try {
        return await remove(options, request);
      } catch (error) {
        throw error instanceof Problem ? error : away(messageOf(error));
      }
    },
  };
}
