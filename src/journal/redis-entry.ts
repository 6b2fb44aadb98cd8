import { FEED_EVENTS, type FeedEvent } from '../contract/events.js';
import { parseOffset } from '../contract/offset.js';
import type { JournalEntry, StatusEntry } from './journal.js';

/** An entry as `XRANGE` and `XREAD` give it: id, then field, value, field, value. */
export type RawEntry = [id: string, fields: string[]];

/** The largest id of a stream: nothing can come after it, and Redis refuses to look there. */
export const LARGEST_ID = '18446744073709551615-18446744073709551615';

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

/** Names of the fields of an entry, in their order. */
const FIELD_NAMES = ['event', 'json', 'symbol', 'timeframe', 'service', 'id', 'epoch'];
/** The highest number that an entry may have; `own.lua` has it too. */
const MAX_SEQ = 9_000_000_000_000_000;
const EPOCH_SHAPE = /^[\w-]{1,40}$/;
const EVENTS: ReadonlySet<string> = new Set(FEED_EVENTS);

/** An entry of the stream that no gateway wrote. */
export class ForeignEntryError extends Error {
  override readonly name = 'ForeignEntryError';
  /** Of the entry, in the stream. */
  readonly streamId: string;
  /** What is wrong with it. */
  readonly fault: string;

  constructor(streamId: string, fault: string) {
    super(`entry ${streamId} of the journal was not written by this gateway: ${fault}`);
    this.streamId = streamId;
    this.fault = fault;
  }
}

/** Whether a text is a JSON object. Clients are sent it as it is: one that cannot be parsed would cut them all. */
function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** What tells an entry from one that the append script wrote; `undefined` if nothing does. */
function faultIn([streamId, fields]: RawEntry): string | undefined {
  if (!streamId.endsWith('-0')) return 'its id has a second part, as XADD with * makes it';
  if (!(Number(streamId.slice(0, -2)) <= MAX_SEQ)) return 'its id is too high';
  if (fields.length < FIELD_COUNT) return 'it has too few fields';
  for (const [index, name] of FIELD_NAMES.entries()) {
    if (fields[2 * index] !== name) return `its fields are not ${FIELD_NAMES.join(', ')}`;
  }
  const [, event = '', , json = '', , , , , , , , id, , epoch = ''] = fields;
  if (!EVENTS.has(event)) return 'its event is none of a gateway';
  if (!id) return 'it has no id of a gateway';
  if (!EPOCH_SHAPE.test(epoch)) return 'its epoch is none';
  return isJsonObject(json) ? undefined : 'its json is no JSON object';
}

/**
 * Reads an entry of the stream.
 *
 * @throws {@link ForeignEntryError} when the entry is not one that the append script wrote
 */
export function parseEntry(raw: RawEntry): JournalEntry {
  const [streamId, fields] = raw;
  const fault = faultIn(raw);
  const [, event, , json = '', , symbol, , timeframe, , service, , id = '', , epoch = ''] = fields;
  if (fault !== undefined) throw new ForeignEntryError(streamId, fault);
  const seq = Number(streamId.slice(0, -2));
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

/**
 * Reads entries of the stream, and leaves out those that no gateway wrote.
 *
 * @param onForeign - called with each that is left out
 */
export function ownEntries(raws: readonly RawEntry[], onForeign?: (error: ForeignEntryError) => void): JournalEntry[] {
  const own: JournalEntry[] = [];
  for (const raw of raws) {
    try {
      own.push(parseEntry(raw));
    } catch (error) {
      if (!(error instanceof ForeignEntryError)) throw error;
      onForeign?.(error);
    }
  }
  return own;
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
  if (
    fields.length < DELETION_FIELDS ||
    epoch === undefined ||
    !id ||
    !Number.isSafeInteger(seq) ||
    !EVENTS.has(event ?? '')
  ) {
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

/** Reads the hash of newest statuses. What no gateway wrote there is left out. */
export function parseStatuses(hash: Readonly<Record<string, string>>): StatusEntry[] {
  const statuses: StatusEntry[] = [];
  for (const [service, value] of Object.entries(hash)) {
    const match = /^([\w-]{1,40}):(\d{1,16}) /.exec(value);
    if (match?.[1] === undefined) continue;
    const json = value.slice(match[0].length);
    if (isJsonObject(json)) statuses.push({ service, epoch: match[1], seq: Number(match[2]), json });
  }
  return statuses.toSorted((a, b) => a.seq - b.seq);
}
