import { createHash } from 'node:crypto';
import { decodeItem, type FeedMessage, type RejectReason } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import { splitJsonArray } from '../contract/json-array.js';
import { KEY_SHAPE, MAX_KEY_LENGTH, MAX_PUBLISH_BATCH } from '../contract/publish-request.js';
import { Problem, type ProblemCode, messageOf } from '../errors.js';
import type { RouteRequest, Route } from '../http/router.js';
import { readJson } from '../http/json-body.js';

/** Puts messages where every pod delivers them. */
export interface Publisher {
  /**
   * Publishes all of the messages, in order, or none.
   *
   * @param once - names the request, so that a repetition publishes nothing
   * @returns offsets in wire form, one for each message, and whether they are those of an earlier request of that name
   * @throws {@link Problem} `publish_unavailable` when they are not published; `idempotency_key_reused` when the name belongs
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
function readOnce(request: RouteRequest): { key: string; fingerprint: string } | undefined {
  const key = request.header('idempotency-key');
  if (key === '') return undefined;
  if (key.length > MAX_KEY_LENGTH || !KEY_SHAPE.test(key)) {
    throw new Problem(
      'invalid_idempotency_key',
      `An Idempotency-Key has up to ${MAX_KEY_LENGTH} visible ASCII characters. Nothing was published.`,
    );
  }
  const fingerprint = createHash('sha256').update(`${request.path}\n`).update(request.body).digest('base64url');
  return { key, fingerprint };
}

/** Why a body was rejected as a whole, by the code of its answer. */
const BODY_REASONS: Partial<Record<ProblemCode, RejectReason>> = {
  invalid_json: 'not_json',
  invalid_encoding: 'encoding',
};

function readBody(
  request: RouteRequest,
  maxItems: number,
): { text: string; items: readonly string[]; isBatch: boolean } {
  const { text: sent, value } = readJson(request);
  // Only now: trim() also takes a byte order mark and other white space that JSON does not have.
  const text = sent.trim();
  if (!Array.isArray(value)) return { text, items: [text], isBatch: false };
  if (value.length === 0) throw new Problem('empty_batch', 'The array is empty. Send at least one object.');
  if (value.length > maxItems) {
    throw new Problem('batch_too_long', `The array has ${value.length} items; at most ${maxItems} are taken.`);
  }
  return { text, items: splitJsonArray(text), isBatch: true };
}

/** What all publish routes need. */
export interface PublishRoutesOptions {
  readonly publisher: Publisher;
  readonly guard: (request: RouteRequest) => void;
  /** Longest item. */
  readonly maxSignalBytes: number;
  readonly onRejected: OnRejected;
}

/** One route to publish at. */
export interface PublishRouteOptions extends PublishRoutesOptions {
  readonly path: string;
  readonly event: FeedEvent;
  /** Most items in one request. */
  readonly maxItems: number;
}

/** `POST` of one object or an array of objects: all are published, in order, or none. */
export function publishRoute(options: PublishRouteOptions): Route {
  const { path, event, publisher, guard, maxSignalBytes, maxItems, onRejected } = options;
  return {
    method: 'POST',
    path,
    guard,
    // Room for every item at its largest with a comma each, the brackets, and some white space.
    maxBodyBytes: maxItems * (maxSignalBytes + 2) + 1024,
    handle: async (request) => {
      let body: ReturnType<typeof readBody>;
      try {
        body = readBody(request, maxItems);
      } catch (error) {
        const reason = error instanceof Problem ? BODY_REASONS[error.code] : undefined;
        if (reason !== undefined) onRejected({ event, reason, detail: messageOf(error), bytes: request.body });
        throw error;
      }
      const messages = body.items.map((item, index) => {
        const decoded = decodeItem(event, item, maxSignalBytes);
        if (decoded.ok) return decoded.message;
        onRejected({ event, reason: decoded.reason, detail: decoded.detail, bytes: Buffer.from(item) });
        const where = body.isBatch ? `Item ${index}: ` : '';
        throw new Problem(
          problemOf(event, decoded.reason),
          `${where}${decoded.detail}. Nothing was published.`,
          body.isBatch ? { members: { index } } : {},
        );
      });
      const { offsets, repeated } = await publisher.publish(messages, readOnce(request));
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
  const shared = { ...options, maxItems: MAX_PUBLISH_BATCH };
  return [
    publishRoute({ ...shared, path: '/v1/signals', event: 'new_signal' }),
    publishRoute({ ...shared, path: '/v1/status', event: 'status_update' }),
  ];
}
