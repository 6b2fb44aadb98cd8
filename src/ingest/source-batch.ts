import { type Decoded, type FeedMessage, decodeBytes, tooLarge } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import type { RejectedMessage } from './rejections.js';
import type { SourceEntry, SourcePage } from './source-page.js';
import { STREAM_START, type SourcePlace, isEarlierId, msBetween } from './source-place.js';

/** A message of a source stream, with the id that its entry in the journal will carry. */
export interface SourcedMessage {
  readonly id: string;
  readonly message: FeedMessage;
}

/** What was read of a source stream, and where that leads. */
export interface SourceBatch {
  readonly messages: readonly SourcedMessage[];
  readonly rejected: readonly RejectedMessage[];
  readonly place: SourcePlace;
}

/** How the entries of a stream become messages. */
export interface SourceRules {
  readonly event: FeedEvent;
  /** Longest message accepted. */
  readonly maxBytes: number;
  /** Makes the id of an entry in the journal of that of one in the stream. */
  readonly makeId: (id: string) => string;
}

/** Bytes of a refused message that are kept as a sample. */
const SAMPLE_BYTES = 512;

function decodeEntry({ named, bytes, json }: SourceEntry, { event, maxBytes }: SourceRules): Decoded {
  if (named === 0) return { ok: false, reason: 'shape', detail: 'the entry of the stream has no field "json"' };
  if (named > 1) {
    const detail = `the entry of the stream has ${named} fields "json". Give it one`;
    return { ok: false, reason: 'duplicate_field', detail };
  }
  return bytes > maxBytes ? tooLarge(bytes, maxBytes) : decodeBytes(event, json, maxBytes);
}

/**
 * Checks entries, in order: valid ones become messages, the others are rejected and passed by.
 *
 * @param after - the place that they were read after
 */
export function sourceBatch(entries: readonly SourceEntry[], after: SourcePlace, rules: SourceRules): SourceBatch {
  const messages: SourcedMessage[] = [];
  const rejected: RejectedMessage[] = [];
  for (const entry of entries) {
    const decoded = decodeEntry(entry, rules);
    if (decoded.ok) messages.push({ id: rules.makeId(entry.id), message: decoded.message });
    else {
      const { reason, detail } = decoded;
      rejected.push({ event: rules.event, reason, detail, bytes: Buffer.from(entry.json.subarray(0, SAMPLE_BYTES)) });
    }
  }
  const count = after.count === undefined ? undefined : after.count + entries.length;
  return { messages, rejected, place: { id: entries.at(-1)?.id ?? after.id, count } };
}

/** What a look at a stream says of what is before the place that it was read to. */
export interface SourceFinding {
  /** The place from which to go on. */
  readonly place: SourcePlace;
  /** Entries that were taken out of the stream before they were read. */
  readonly lost: number;
  /** There may be more of them: Redis does not count them. */
  readonly isAtLeast: boolean;
  /** The stream is another one than before, or has gone back. */
  readonly change?: 'replaced' | 'back';
}

/** Newest entries that a failover loses are not older than this; a stream whose ids are farther back is another one. */
const LOST_TAIL_MS = 60_000;

/** Where to go on in a stream whose newest id is below the place: it went back in a failover, or it was deleted and begun again. */
function goBack({ added, lastId }: SourcePage, { id, count }: SourcePlace): SourceFinding {
  const isNew =
    msBetween(lastId, id) > LOST_TAIL_MS || (added !== undefined && count !== undefined && added * 2 < count);
  return isNew
    ? { place: { id: STREAM_START, count: undefined }, lost: 0, isAtLeast: false, change: 'replaced' }
    : { place: { id: lastId, count: added }, lost: 0, isAtLeast: false, change: 'back' };
}

/**
 * Finds out what happened to a stream since it was read up to a place. Of all entries ever added, those are lost that are
 * neither counted as read, nor there. While some are there still, only as many are known to be lost as were taken out beyond
 * those read: producers may delete what was read.
 *
 * @param page - what comes after the place, as far as a page goes
 */
export function inspectSource(page: SourcePage, place: SourcePlace): SourceFinding {
  const { exists, added, length, lastId, isGone, entries } = page;
  const fine = { place, lost: 0, isAtLeast: false };
  if (!exists) return fine;
  if (isEarlierId(lastId, place.id)) return goBack(page, place);
  if (added === undefined) return { ...fine, lost: isGone ? 1 : 0, isAtLeast: true };
  const isAtEnd = entries.length === 0;
  const { id, count } = place;
  if (count === undefined) {
    if (isAtEnd) return { ...fine, place: { id, count: added } };
    // What was taken out before anybody read it for the first time was meant for nobody.
    return id === STREAM_START ? { ...fine, place: { id, count: added - length } } : fine;
  }
  if (added < count + entries.length) {
    // How many of the new stream came before these is known once its end is reached.
    return { place: { id, count: isAtEnd ? added : undefined }, lost: 0, isAtLeast: false, change: 'replaced' };
  }
  const lost = Math.max(0, (isAtEnd ? added : added - length) - count);
  return { place: { id, count: count + lost }, lost, isAtLeast: false };
}
