import { createHash } from 'node:crypto';
import { decodeItem, type FeedMessage, type RejectReason } from '../contract/decode.js';
import type { FeedEvent } from '../contract/events.js';
import { splitJsonArray } from '../contract/json-array.js';
import { type ProblemCode, Problem } from '../errors.js';
import type { AdminRequest, Route } from '../http/router.js';
import { readJson } from '../http/json-body.js';

/** Puts messages where every pod delivers them. */
export interface Publisher {
  /**
   * Publishes all of the messages, in order, or none.
   *
   * @param once - names the request, so that a repetition of it publishes nothing
   * @returns offsets in wire form, one a message, and whether they are those of an earlier request of that name
   * @throws {@link Problem} `publish_unavailable` when they are not published; `idempotency_key_reused` when the name
   *   stands for another request
   */
  publish(
    messages: readonly FeedMessage[],
    once?: { readonly key: string; readonly fingerprint: string },
  ): Promise<{ readonly offsets: readonly string[]; readonly repeated: boolean }>;
}

/** Told of every item that was refused. */
export type OnRejected = (event: FeedEvent, reason: RejectReason, detail: string, item: Buffer) => void;

/** Most items in one request to the admin port. */
export const MAX_PUBLISH_BATCH = 1000;

const SHAPE_PROBLEM: Record<FeedEvent, ProblemCode> = { new_signal: 'invalid_signal', status_update: 'invalid_status' };

/** What the caller is told of an item that was refused. */
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
      // The last two are said of the whole body.
      return SHAPE_PROBLEM[event];
  }
}

/** Longest `Idempotency-Key`, in characters. */
export const MAX_KEY_LENGTH = 255;

/** What an `Idempotency-Key` is made of: visible ASCII characters. */
export const KEY_SHAPE = /^[\x20-\x7e]+$/;

/** The name that the caller has given the request: header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). */
function readOnce(request: AdminRequest): { key: string; fingerprint: string } | undefined {
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

function readBody(
  request: AdminRequest,
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

/** A place to publish at. */
export interface PublishRouteOptions {
  readonly path: string;
  readonly event: FeedEvent;
  readonly publisher: Publisher;
  readonly guard: (request: AdminRequest) => void;
  /** Longest item, in bytes. */
  readonly maxSignalBytes: number;
  /** Most items in one request. */
  readonly maxItems: number;
  readonly onRejected: OnRejected;
}

/** `POST` of one object or an array of them: all are published, in order, or none is. */
export function publishRoute(options: PublishRouteOptions): Route {
  const { path, event, publisher, guard, maxSignalBytes, maxItems, onRejected } = options;
  return {
    method: 'POST',
    path,
    guard,
    // Every item at its largest, a comma each, the brackets, and some white space.
    maxBody: maxItems * (maxSignalBytes + 2) + 1024,
    handle: async (request) => {
      let body: ReturnType<typeof readBody>;
      try {
        body = readBody(request, maxItems);
      } catch (error) {
        if (error instanceof Problem && error.code === 'invalid_json')
          onRejected(event, 'not_json', error.message, request.body);
        if (error instanceof Problem && error.code === 'invalid_encoding')
          onRejected(event, 'encoding', error.message, request.body);
        throw error;
      }
      const messages = body.items.map((item, index) => {
        const decoded = decodeItem(event, item, maxSignalBytes);
        if (decoded.ok) return decoded.message;
        onRejected(event, decoded.reason, decoded.detail, Buffer.from(item));
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
export function publishRoutes(
  publisher: Publisher,
  guard: (request: AdminRequest) => void,
  maxSignalBytes: number,
  onRejected: OnRejected,
): Route[] {
  const shared = { publisher, guard, maxSignalBytes, maxItems: MAX_PUBLISH_BATCH, onRejected };
  return [
    publishRoute({ ...shared, path: '/v1/signals', event: 'new_signal' }),
    publishRoute({ ...shared, path: '/v1/status', event: 'status_update' }),
  ];
}
