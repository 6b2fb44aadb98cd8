import { EXAMPLES } from '../contract/examples.js';
import { signalSchema, statusSchema } from '../contract/events.js';
import { type Json, jsonSchemas, schemaRef } from '../contract/json-schema.js';
import { offsetSchema } from '../contract/offset.js';
import { PROBLEMS, type ProblemCode } from '../errors.js';
import {
  deletedSchema,
  disconnectedSchema,
  healthSchema,
  historySchema,
  infoSchema,
  podInfoSchema,
  problemSchema,
  publishedSchema,
  readinessSchema,
} from './answers.js';
import { orderSchema } from './control.js';
import { deletionSchema, reasonSchema } from './entries.js';
import { DEFAULT_LIMIT, MAX_LIMIT } from './history.js';
import { KEY_SHAPE, MAX_PUBLISH_BATCH, MAX_KEY_LENGTH } from './publish.js';

const { offset, signal, status } = EXAMPLES;

/** Headers that come with every answer of a status. */
const HEADERS: Readonly<Record<number, Json>> = {
  401: { 'WWW-Authenticate': { description: 'Always `Bearer`.', schema: { const: 'Bearer' } } },
  405: { Allow: { description: 'The methods that the path takes.', schema: { type: 'string' } } },
  503: { 'Retry-After': { description: 'Seconds.', schema: { type: 'string', pattern: '^[0-9]+$' } } },
};

/** The answer of a status that has one of the codes. */
function problem(http: number, codes: readonly ProblemCode[]): Json {
  const code = codes[0] ?? 'internal';
  const { title } = PROBLEMS[code];
  const example = { type: `urn:signal-gateway:problem:${code}`, title, status: http, code, detail: `${title}.` };
  const isGone = http === 410;
  return {
    description: codes.map((one) => `\`${one}\`: ${PROBLEMS[one].title}.`).join(' '),
    ...(HEADERS[http] && { headers: HEADERS[http] }),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            schemaRef('Problem'),
            {
              properties: { status: { const: http }, code: { enum: codes } },
              ...(isGone && { required: ['oldest'] }),
            },
          ],
        },
        example: { ...example, ...(isGone && { oldest: offset }) },
      },
    },
  };
}

/** The answers with these codes, and with those that everything can end in. */
function problems(...codes: readonly ProblemCode[]): Json {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of [...codes, 'headers_too_large', 'internal'] as const) {
    const { status: http } = PROBLEMS[code];
    byStatus.set(http, [...(byStatus.get(http) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([http, ofStatus]) => [http, problem(http, ofStatus)]));
}

function answer(description: string, schema: Json, example: unknown, headers?: Json): Json {
  return { description, ...(headers && { headers }), content: { 'application/json': { schema, example } } };
}

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

function publish(what: string, schemaName: string, example: unknown, shape: ProblemCode): Json {
  const one = schemaRef(schemaName);
  return {
    operationId: `publish${schemaName}`,
    tags: ['publish'],
    summary: `Publishes one ${what}, or an array of up to 1,000.`,
    description: 'All are published, in order, or none. 202 is answered only for what is in the journal.',
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
      202: answer(
        'In the journal.',
        schemaRef('Published'),
        { offsets: [offset] },
        {
          'Idempotent-Replayed': {
            description: 'There when the answer is that of an earlier request with the same key.',
            schema: { const: 'true' },
          },
        },
      ),
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
    200: answer('Entries, and where to go on.', schemaRef('History'), {
      entries: [{ offset, event: 'new_signal', data: signal }],
      next: offset,
    }),
    ...problems(...GUARD, 'invalid_offset', 'invalid_limit', 'offset_expired', 'offset_epoch', 'journal_unavailable'),
  },
};

const INFO: Json = {
  operationId: 'readInfo',
  tags: ['control'],
  summary: 'What every pod says of itself.',
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
          again: { summary: 'They come again at once', value: { user: 'ann', reconnect: true } },
          client: { value: { sid: 'b3dS0vYkQ2lYxjS1AAAB' } },
        },
      },
    },
  },
  responses: {
    200: answer('Carried out.', schemaRef('Disconnected'), { disconnected: 2 }),
    ...problems(...GUARD, ...BODY, 'invalid_disconnect', 'duplicate_field', 'lone_surrogate', 'pods_unreachable'),
  },
};

const DELETE_ENTRY: Json = {
  operationId: 'deleteEntry',
  tags: ['control'],
  summary: 'Takes one entry out of the journal, on all pods.',
  description:
    'Nobody who has not been sent it gets it any more, live or when coming back; in its place clients that would have got it ' +
    'are told of a `gap` with the reason `deleted`. Give the reason as a parameter or in the body; some clients and proxies drop the ' +
    'body of a DELETE. Safe to repeat.',
  security: OPTIONAL_KEY,
  parameters: [
    { name: 'offset', in: 'path', required: true, schema: schemaRef('Offset'), example: offset },
    {
      name: 'reason',
      in: 'query',
      description: 'Why, for the log. Needed unless the body has it.',
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

const DESCRIPTION = `The internal port of a pod: health, metrics, publishing and control. Never expose it to the internet.

Without \`API_KEY\` only callers on the same machine may publish and control, and pages in a browser may not. A GET may also be
a HEAD. Errors are \`application/problem+json\` with a \`code\` that never changes its meaning. A path that is not here gets 404
\`not_found\`; another method than those here gets 405 \`method_not_allowed\`.`;

/**
 * The OpenAPI 3.1 document of the admin port.
 *
 * @param version - of this package
 */
export function openapiDocument(version: string): Json {
  const ready = schemaRef('Readiness');
  return {
    openapi: '3.1.0',
    info: {
      title: 'signal-gateway admin API',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      {
        url: 'http://{host}:{port}',
        variables: {
          host: { default: 'localhost', description: '`ADMIN_HOST` of the configuration.' },
          port: { default: '3001', description: '`ADMIN_PORT` of the configuration.' },
        },
      },
    ],
    tags: [
      { name: 'publish', description: 'Signals and statuses, in and out.' },
      { name: 'control', description: 'All pods at once.' },
      { name: 'state', description: 'Of this pod; open to whoever reaches the port.' },
    ],
    paths: {
      '/v1/signals': { get: HISTORY, post: publish('signal', 'Signal', signal, 'invalid_signal') },
      '/v1/status': { post: publish('status', 'StatusUpdate', status, 'invalid_status') },
      '/v1/entries/{offset}': { delete: DELETE_ENTRY },
      '/v1/info': { get: INFO },
      '/v1/disconnect': { post: DISCONNECT },
      '/healthz': {
        get: simple('readHealth', 'Whether the event loop turns.', {
          200: answer('It does.', schemaRef('Health'), { status: 'ok' }),
        }),
      },
      '/readyz': {
        get: simple('readReadiness', 'Whether clients may be sent here.', {
          200: answer('They may.', ready, { status: 'ready', reasons: [] }),
          503: answer('They may not.', ready, { status: 'not ready', reasons: ['draining'] }),
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
        get: simple('readAsyncapi', 'What goes over Socket.IO and Redis. The public port serves it too.', {
          200: answer('AsyncAPI 3.0.', DOCUMENT, {}),
        }),
      },
    },
    components: {
      schemas: jsonSchemas(
        {
          Signal: signalSchema,
          StatusUpdate: statusSchema,
          Offset: offsetSchema,
          Published: publishedSchema,
          History: historySchema,
          Reason: reasonSchema,
          Deletion: deletionSchema,
          Deleted: deletedSchema,
          PodInfo: podInfoSchema,
          Info: infoSchema,
          DisconnectOrder: orderSchema,
          Disconnected: disconnectedSchema,
          Health: healthSchema,
          Readiness: readinessSchema,
          Problem: problemSchema,
        },
        'draft-2020-12',
      ),
      responses: {
        NotFound: problem(404, ['not_found']),
        MethodNotAllowed: problem(405, ['method_not_allowed']),
      },
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'One of the keys of `API_KEY`.' },
      },
    },
  };
}
