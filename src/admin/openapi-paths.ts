import { EXAMPLES } from '../contract/examples.js';
import { type Json, schemaRef } from '../contract/json-schema.js';
import { KEY_SHAPE, MAX_KEY_LENGTH, MAX_PUBLISH_BATCH } from '../contract/publish-request.js';
import type { ProblemCode } from '../errors.js';
import { DEFAULT_LIMIT, MAX_LIMIT } from './history.js';
import { answer, problems } from './openapi-answers.js';

const { offset, signal, status } = EXAMPLES;

/** A caller needs no key when it is on the same machine and none is set. */
const OPTIONAL_KEY = [{ apiKey: [] }, {}];
const GUARD = ['unauthorized', 'forbidden'] as const satisfies ProblemCode[];
const BODY = [
  'invalid_encoding',
  'invalid_json',
  'request_timeout',
  'body_too_large',
  'unsupported_media_type',
  'unsupported_encoding',
] as const;

const PUBLISHED: Json = {
  description: 'In the journal.',
  headers: {
    'Idempotent-Replayed': {
      description: 'Present if the answer is that of an earlier request with the same key.',
      schema: { const: 'true' },
    },
  },
  content: { 'application/json': { schema: schemaRef('Published'), example: { offsets: [offset] } } },
};

/** What is published at a path. */
interface Published {
  readonly what: string;
  readonly schemaName: string;
  readonly example: unknown;
  /** The code of a message of the wrong shape. */
  readonly shape: ProblemCode;
}

function publish({ what, schemaName, example, shape }: Published): Json {
  const one = schemaRef(schemaName);
  return {
    operationId: `publish${schemaName}`,
    tags: ['publish'],
    summary: `Publishes one ${what}, or an array of up to 1,000.`,
    description: 'All are published, in order, or none. The answer is 202 only when they are in the journal.',
    security: OPTIONAL_KEY,
    parameters: [
      {
        name: 'Idempotency-Key',
        in: 'header',
        description:
          'Names the request: sent again within 5 minutes, to any pod, it publishes nothing and gets the first answer again.',
        schema: { type: 'string', maxLength: MAX_KEY_LENGTH, pattern: KEY_SHAPE.source },
        example: 'order-4711',
      },
    ],
    requestBody: {
      required: true,
      description: 'A message has at most `MAX_SIGNAL_BYTES` bytes. It is forwarded as it is written.',
      content: {
        'application/json': {
          schema: { anyOf: [one, { type: 'array', items: one, minItems: 1, maxItems: MAX_PUBLISH_BATCH }] },
          examples: { one: { value: example }, batch: { value: [example, example] } },
        },
      },
    },
    responses: {
      202: PUBLISHED,
      ...problems(
        ...GUARD,
        ...BODY,
        'invalid_idempotency_key',
        'empty_batch',
        'batch_too_long',
        'message_too_large',
        shape,
        'duplicate_field',
        'lone_surrogate',
        'too_deep',
        'idempotency_key_reused',
        'publish_unavailable',
        'not_replicated',
      ),
    },
  };
}

const HISTORY: Json = {
  operationId: 'readHistory',
  tags: ['publish'],
  summary: 'What was published, oldest first.',
  security: OPTIONAL_KEY,
  parameters: [
    {
      name: 'after',
      in: 'query',
      description: 'Entries after this place. Left out: the newest ones.',
      schema: schemaRef('Offset'),
      example: offset,
    },
    {
      name: 'limit',
      in: 'query',
      description: 'Most entries in the answer.',
      schema: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT },
    },
  ],
  responses: {
    200: answer('Entries, and where to continue.', schemaRef('History'), {
      entries: [{ offset, event: 'new_signal', data: signal }],
      next: offset,
    }),
    ...problems(...GUARD, 'invalid_offset', 'invalid_limit', 'offset_expired', 'offset_epoch', 'journal_unavailable'),
  },
};

const INFO: Json = {
  operationId: 'readInfo',
  tags: ['control'],
  summary: 'Describes every pod.',
  security: OPTIONAL_KEY,
  responses: {
    200: answer('All pods.', schemaRef('Info'), {
      pods: [
        {
          pod: 'gateway-0-1a2b3c',
          version: '1.0.0',
          node: 'v22.12.0',
          uptime: 3600,
          notReady: [],
          connections: { websocket: 4000, polling: 12 },
          topics: 31,
          head: offset,
          lag: 0,
          bridge: true,
        },
      ],
    }),
    ...problems(...GUARD, 'pods_unreachable'),
  },
};

const DISCONNECT: Json = {
  operationId: 'disconnect',
  tags: ['control'],
  summary: 'Ends the connections of a user, or of one client, on whichever pod.',
  security: OPTIONAL_KEY,
  requestBody: {
    required: true,
    content: {
      'application/json': {
        schema: schemaRef('DisconnectOrder'),
        examples: {
          user: { value: { user: 'ann' } },
          again: { summary: 'They reconnect at once', value: { user: 'ann', reconnect: true } },
          client: { value: { sid: 'b3dS0vYkQ2lYxjS1AAAB' } },
        },
      },
    },
  },
  responses: {
    200: answer('Done.', schemaRef('Disconnected'), { disconnected: 2 }),
    ...problems(...GUARD, ...BODY, 'invalid_disconnect', 'duplicate_field', 'lone_surrogate', 'pods_unreachable'),
  },
};

const DELETE_ENTRY: Json = {
  operationId: 'deleteEntry',
  tags: ['control'],
  summary: 'Deletes one entry of the journal, on all pods.',
  description:
    'Clients that do not have it yet never get it, neither live nor after a reconnect; in its place they get a `gap` with the ' +
    'reason `deleted`. Give the reason as a parameter or in the body; some clients and proxies drop the body of a DELETE. ' +
    'Safe to repeat.',
  security: OPTIONAL_KEY,
  parameters: [
    { name: 'offset', in: 'path', required: true, schema: schemaRef('Offset'), example: offset },
    {
      name: 'reason',
      in: 'query',
      description: 'Why, for the log. Required unless it is in the body.',
      schema: schemaRef('Reason'),
      example: 'a price of 0',
    },
  ],
  requestBody: {
    content: { 'application/json': { schema: schemaRef('Deletion'), example: { reason: 'a price of 0' } } },
  },
  responses: {
    200: answer('Deleted, now or before.', schemaRef('Deleted'), { offset, deleted: true, already: false }),
    ...problems(
      ...GUARD,
      ...BODY,
      'invalid_offset',
      'invalid_reason',
      'entry_not_found',
      'offset_expired',
      'journal_unavailable',
    ),
  },
};

function simple(operationId: string, summary: string, responses: Json): Json {
  return { operationId, tags: ['state'], summary, responses: { ...responses, ...problems() } };
}

const DOCUMENT: Json = { type: 'object' };

const ready = schemaRef('Readiness');

/** What each path of the admin port takes and answers. */
export const PATHS: Json = {
  '/v1/signals': {
    get: HISTORY,
    post: publish({ what: 'signal', schemaName: 'Signal', example: signal, shape: 'invalid_signal' }),
  },
  '/v1/status': {
    post: publish({ what: 'status', schemaName: 'StatusUpdate', example: status, shape: 'invalid_status' }),
  },
  '/v1/entries/{offset}': { delete: DELETE_ENTRY },
  '/v1/info': { get: INFO },
  '/v1/disconnect': { post: DISCONNECT },
  '/healthz': {
    get: simple('readHealth', 'Whether the event loop runs.', {
      200: answer('It runs.', schemaRef('Health'), { status: 'ok' }),
    }),
  },
  '/readyz': {
    get: simple('readReadiness', 'Whether this pod takes clients.', {
      200: answer('It does.', ready, { status: 'ready', reasons: [] }),
      503: answer('It does not.', ready, { status: 'not ready', reasons: ['draining'] }),
    }),
  },
  '/metrics': {
    get: simple('readMetrics', 'Metrics for Prometheus.', {
      200: { description: "Prometheus's text format.", content: { 'text/plain': { schema: { type: 'string' } } } },
    }),
  },
  '/openapi.json': {
    get: simple('readOpenapi', 'This document.', { 200: answer('OpenAPI 3.1.', DOCUMENT, {}) }),
  },
  '/asyncapi.json': {
    get: simple('readAsyncapi', 'What is sent over Socket.IO and Redis. The public port serves this too.', {
      200: answer('AsyncAPI 3.0.', DOCUMENT, {}),
    }),
  },
};
