import { isUtf8 } from 'node:buffer';
import { type Hash, createHash } from 'node:crypto';
import { type Decoded, decodeItem } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import { JsonArrayItems } from '../contract/json-array.js';
import { TurnShare } from '../turn-share.js';

/** A shorter body is worked on in one turn of the event loop. */
export const LARGE_BODY_BYTES = 64 * 1024;
/** Bytes that are hashed at once. */
const HASH_BYTES = 1024 * 1024;

/** What a batch may have. */
export interface BatchLimits {
  readonly maxItems: number;
  readonly maxItemBytes: number;
}

/** An item of a batch, and what came of decoding it. */
export interface DecodedItem {
  readonly text: string;
  readonly decoded: Decoded;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether an item is JSON. One that was found too large has not been parsed. */
function isJsonItem({ text, decoded }: DecodedItem): boolean {
  return decoded.ok || (decoded.reason === 'too_large' ? isJson(text) : decoded.reason !== 'not_json');
}

/**
 * Decodes a body that is a JSON array, a few ms in each turn of the event loop: a batch at its largest takes a tenth of a second
 * and more.
 *
 * @returns all items, up to the first that is refused; `undefined` where the body as a whole is to be refused, or is no array
 */
export async function decodeLargeBatch(
  event: FeedEvent,
  body: Buffer,
  limits: BatchLimits,
): Promise<readonly DecodedItem[] | undefined> {
  if (!isUtf8(body)) return undefined;
  const share = new TurnShare();
  const items = new JsonArrayItems(body);
  const decoded: DecodedItem[] = [];
  let count = 0;
  let isRefused = false;
  for (let text = items.next(); text !== undefined; text = items.next()) {
    const item = { text, decoded: decodeItem(event, text, limits.maxItemBytes) };
    if (++count > limits.maxItems || !isJsonItem(item)) return undefined;
    if (!isRefused) decoded.push(item);
    isRefused ||= !item.decoded.ok;
    if (share.isOver) await share.next();
  }
  return items.isWhole && count > 0 ? decoded : undefined;
}

/** The fingerprint of a named request. That of a large one is made in steps. */
export function fingerprintOf(path: string, body: Buffer): string | Promise<string> {
  const hash = createHash('sha256').update(`${path}\n`);
  return body.length > LARGE_BODY_BYTES ? hashInSteps(hash, body) : hash.update(body).digest('base64url');
}

async function hashInSteps(hash: Hash, body: Buffer): Promise<string> {
  const share = new TurnShare();
  for (let at = 0; at < body.length; at += HASH_BYTES) {
    hash.update(body.subarray(at, at + HASH_BYTES));
    if (share.isOver) await share.next();
  }
  return hash.digest('base64url');
}
