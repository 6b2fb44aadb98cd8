import type { FeedEvent } from '../contract/events.js';
import { parseOffset } from '../contract/offset.js';
import type { JournalEntry, StatusEntry } from './journal.js';

/** An entry as `XRANGE` and `XREAD` give it: id, then field, value, field, value. */
export type RawEntry = [id: string, fields: string[]];

/** Order of the fields of an entry, as the append script writes them. Redis stores equal field names once. */
const FIELD_COUNT = 14;

/** What the first entry of an epoch tells, which stands behind the other fields. */
function told(
  fields: readonly string[],
  at: number,
): Pick<JournalEntry, 'unbrokenFrom' | 'unbrokenEpoch' | 'lostUpTo'> {
  const from = parseOffset(fields[at + 1]);
  const lost = fields[at + 3];
  return {
    ...(from !== undefined && { unbrokenFrom: from.seq, unbrokenEpoch: from.epoch }),
    ...(lost !== undefined && { lostUpTo: Number(lost) }),
  };
}

/**
 * Reads an entry of the stream.
 *
 * @throws when the entry is not one that the append script wrote
 */
export function parseEntry([streamId, fields]: RawEntry): JournalEntry {
  const [, event, , json, , symbol, , timeframe, , service, , id, , epoch] = fields;
  const seq = Number(streamId.slice(0, streamId.indexOf('-')));
  if (
    fields.length < FIELD_COUNT ||
    json === undefined ||
    id === undefined ||
    epoch === undefined ||
    !Number.isSafeInteger(seq)
  ) {
    throw new Error(`entry ${streamId} of the journal was not written by this gateway`);
  }
  return {
    epoch,
    seq,
    id,
    event: event as FeedEvent,
    json,
    ...(symbol ? { symbol } : {}),
    ...(timeframe ? { timeframe } : {}),
    ...(service ? { service } : {}),
    ...(fields.length > FIELD_COUNT && told(fields, FIELD_COUNT)),
  };
}

/** What the deletion script has written of one deleted entry. */
export interface Deletion {
  readonly entry: JournalEntry;
  /** Whether it was in the stream of entries, and its place there is empty now. */
  readonly isStored: boolean;
  readonly reason: string;
}

/** Number of fields of a deletion, as the script writes them. */
const DELETION_FIELDS = 20;

/**
 * Reads an entry of the stream of deletions.
 *
 * @returns `undefined` for one that the deletion script did not write
 */
export function parseDeletion([, fields]: RawEntry): Deletion | undefined {
  const [, epoch, , number, , id, , event, , symbol, , timeframe, , service, , name, , stored, , reason] = fields;
  const seq = Number(number);
  if (fields.length < DELETION_FIELDS || epoch === undefined || id === undefined || !Number.isSafeInteger(seq)) {
    return undefined;
  }
  const entry: JournalEntry = {
    epoch,
    seq,
    id,
    event: event as FeedEvent,
    json: '',
    deleted: true,
    ...(symbol ? { symbol } : {}),
    ...(timeframe ? { timeframe } : {}),
    ...(service ? { service } : {}),
    ...(name ? { name } : {}),
    ...(fields.length > DELETION_FIELDS && told(fields, DELETION_FIELDS)),
  };
  return { entry, isStored: stored === '1', reason: reason ?? '' };
}

/** Reads the hash of newest statuses. */
export function parseStatuses(hash: Readonly<Record<string, string>>): StatusEntry[] {
  const statuses: StatusEntry[] = [];
  for (const [service, value] of Object.entries(hash)) {
    const match = /^([^:]+):(\d+) /.exec(value);
    if (match?.[1] === undefined) continue;
    statuses.push({ service, epoch: match[1], seq: Number(match[2]), json: value.slice(match[0].length) });
  }
  return statuses.toSorted((a, b) => a.seq - b.seq);
}
