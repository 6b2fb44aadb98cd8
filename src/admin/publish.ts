import { decodeItem, type FeedMessage, type RejectReason } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import { splitJsonArray } from '../contract/json-array.js';
import { KEY_SHAPE, MAX_KEY_LENGTH, MAX_PUBLISH_BATCH } from '../contract/publish-request.js';
import { Problem, type ProblemCode, messageOf } from '../errors.js';
import type { RouteRequest, Route } from '../http/router.js';
import { BodyBudget } from '../http/body-budget.js';
import { checkMediaType, readJson } from '../http/json-body.js';
import {
  type BatchLimits,
  type DecodedItem,
  LARGE_BODY_BYTES,
  decodeLargeBatch,
  fingerprintOf,
} from './large-batch.js';

/** Puts messages where every pod delivers them. */
export interface Publisher {
  /**
   * Publishes all of the messages, in order, or none.
   *
   * @param once - names the request, so that a repetition publishes nothing
   * @returns offsets in wire form, one for each message, and whether they are those of an earlier request of that name
   * @throws {@link Problem} `publish_unavailable` when they are not published; `not_replicated` when they are, but a failover
   *   may still lose them; `idempotency_key_reused` when the name belongs
   *   to another request
   */
  publish(
    messages: readonly FeedMessage[],
    once?: { readonly key: string; readonly fingerprint: string },
  ): Promise<{ readonly offsets: readonly string[]; readonly repeated: boolean }>;
}

/** An item that was refused. */
export interface RejectedItem {
  readonly event: FeedEvent;
  readonly reason: RejectReason;
  /** What is wrong with it, for a person. */
  readonly detail: string;
  /** The item as it was sent. */
  readonly bytes: Buffer;
}

/** Called for every item that was refused. */
export type OnRejected = (rejected: RejectedItem) => void;

const SHAPE_PROBLEM: Record<FeedEvent, ProblemCode> = { new_signal: 'invalid_signal', status_update: 'invalid_status' };

/** The code of the answer to an item that was refused. */
function problemOf(event: FeedEvent, reason: RejectReason): ProblemCode {
  switch (reason) {
    case 'too_large':
      return 'message_too_large';
    case 'duplicate_field':
    case 'lone_surrogate':
    case 'too_deep':
      return reason;
    case 'shape':
    case 'encoding':
    case 'not_json':
      // The last two are about the whole body.
      return SHAPE_PROBLEM[event];
  }
}

/** The caller's name for the request: header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). */
function readKey(request: RouteRequest): string | undefined {
  const key = request.header('idempotency-key');
  if (key === '') return undefined;
  if (key.length > MAX_KEY_LENGTH || !KEY_SHAPE.test(key)) {
    throw new Problem(
      'invalid_idempotency_key',
      `An Idempotency-Key has up to ${MAX_KEY_LENGTH} visible ASCII characters. Nothing was published.`,
    );
  }
  return key;
}

/** Why a body was rejected as a whole, by the code of its answer. */
const BODY_REASONS: Partial<Record<ProblemCode, RejectReason>> = {
  invalid_json: 'not_json',
  invalid_encoding: 'encoding',
};

/** The items of a body, and whether it is an array of them. */
interface PublishBody {
  readonly items: readonly DecodedItem[];
  readonly isBatch: boolean;
}

function readBody(event: FeedEvent, request: RouteRequest, { maxItems, maxItemBytes }: BatchLimits): PublishBody {
  const { text: sent, value } = readJson(request);
  // Only now: trim() also takes a byte order mark and other white space that JSON does not have.
  const text = sent.trim();
  const decode = (item: string): DecodedItem => ({ text: item, decoded: decodeItem(event, item, maxItemBytes) });
  if (!Array.isArray(value)) return { items: [decode(text)], isBatch: false };
  if (value.length === 0) throw new Problem('empty_batch', 'The array is empty. Send at least one object.');
  if (value.length > maxItems) {
    throw new Problem('batch_too_long', `The array has ${value.length} items; at most ${maxItems} are taken.`);
  }
  const items: DecodedItem[] = [];
  for (const item of splitJsonArray(text)) {
    const decoded = decode(item);
    items.push(decoded);
    if (!decoded.decoded.ok) break;
  }
  return { items, isBatch: true };
}

/** A large batch is worked on in steps. Whatever else is large is refused: {@link readBody} says why. */
async function readLargeBody(event: FeedEvent, request: RouteRequest, limits: BatchLimits): Promise<PublishBody> {
  checkMediaType(request);
  const items = await decodeLargeBatch(event, request.body, limits);
  return items === undefined ? readBody(event, request, limits) : { items, isBatch: true };
}

/** What all publish routes need. */
export interface PublishRoutesOptions {
  readonly publisher: Publisher;
  readonly guard: (request: RouteRequest) => void;
  /** Longest item. */
  readonly maxSignalBytes: number;
  readonly onRejected: OnRejected;
  /** Room for large bodies. @default for one at its largest, and {@link LARGE_BODIES_BYTES} at least */
  readonly bodies?: BodyBudget;
}

/** One route to publish at. */
export interface PublishRouteOptions extends PublishRoutesOptions {
  readonly path: string;
  readonly event: FeedEvent;
  /** Most items in one request. */
  readonly maxItems: number;
}

/** Room for requests with large bodies that are worked on at the same time. Each takes about five times its length. */
const LARGE_BODIES_BYTES = 40 * 1024 * 1024;

/** Room for every item at its largest with a comma each, the brackets, and some white space. */
function maxBodyBytesOf(maxItems: number, maxSignalBytes: number): number {
  return maxItems * (maxSignalBytes + 2) + 1024;
}

/** `POST` of one object or an array of objects: all are published, in order, or none. */
export function publishRoute(options: PublishRouteOptions): Route {
  const { path, event, publisher, guard, maxSignalBytes, maxItems, onRejected } = options;
  const limits = { maxItems, maxItemBytes: maxSignalBytes };
  return {
    method: 'POST',
    path,
    guard,
    maxBodyBytes: maxBodyBytesOf(maxItems, maxSignalBytes),
    ...(options.bodies && { bodies: options.bodies }),
    handle: async (request) => {
      let body: PublishBody;
      try {
        const isLarge = request.body.length > LARGE_BODY_BYTES;
        body = isLarge ? await readLargeBody(event, request, limits) : readBody(event, request, limits);
      } catch (error) {
        const reason = error instanceof Problem ? BODY_REASONS[error.code] : undefined;
        if (reason !== undefined) onRejected({ event, reason, detail: messageOf(error), bytes: request.body });
        throw error;
      }
      const messages = body.items.map(({ text, decoded }, index) => {
        if (decoded.ok) return decoded.message;
        onRejected({ event, reason: decoded.reason, detail: decoded.detail, bytes: Buffer.from(text) });
        const where = body.isBatch ? `Item ${index}: ` : '';
        throw new Problem(
          problemOf(event, decoded.reason),
          `${where}${decoded.detail}. Nothing was published.`,
          body.isBatch ? { members: { index } } : {},
        );
      });
      const key = readKey(request);
      const fingerprint = key === undefined ? '' : fingerprintOf(request.path, request.body);
      const once = key === undefined ? undefined : { key, fingerprint: await fingerprint };
      const { offsets, repeated } = await publisher.publish(messages, once);
      return {
        status: 202,
        body: JSON.stringify({ offsets }),
        ...(repeated && { headers: { 'Idempotent-Replayed': 'true' } }),
      };
    },
  };
}

/** `POST /v1/signals` and `POST /v1/status`. */
export function publishRoutes(options: PublishRoutesOptions): Route[] {
  const mostBytes = Math.max(LARGE_BODIES_BYTES, maxBodyBytesOf(MAX_PUBLISH_BATCH, options.maxSignalBytes));
  const shared = { ...options, maxItems: MAX_PUBLISH_BATCH, bodies: options.bodies ?? new BodyBudget(mostBytes) };
  return [
    publishRoute({ ...shared, path: '/v1/signals', event: 'new_signal' }),
    publishRoute({ ...shared, path: '/v1/status', event: 'status_update' }),
  ];
}
