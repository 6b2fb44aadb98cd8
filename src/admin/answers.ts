import { z } from 'zod';
import { FEED_EVENTS, signalSchema, statusSchema } from '../contract/events.js';
import { offsetSchema } from '../contract/offset.js';
import { PROBLEMS, type ProblemCode } from '../errors.js';

/** Answer of `GET /healthz`. */
export const healthSchema = z.object({ status: z.literal('ok') });

/** Why a pod should get no new clients. */
export const notReadyReasonSchema = z.enum(['starting', 'redis', 'draining', 'overloaded']);

/** What is wrong with Redis, one for each thing that does not work. */
export const redisCauseSchema = z.object({
  aspect: z
    .enum(['read', 'heard', 'append', 'sources'])
    .describe('Reading the journal, hearing Pub/Sub, appending to the journal, reading the source streams.'),
  code: z.string().describe('Why: never changes its meaning. The metric `gateway_redis_faults` has it as `cause`.'),
  reason: z.string().describe('What Redis or the network said, for a person.'),
  since: z.int().describe('Unix time in ms.'),
});

/** Answer of `GET /readyz`. */
export const readinessSchema = z.object({
  status: z.enum(['ready', 'not ready']),
  reasons: z.array(notReadyReasonSchema).readonly().describe('Empty when the pod is ready.'),
  causes: z
    .array(redisCauseSchema)
    .readonly()
    .optional()
    .describe('What is wrong with Redis, where that is among the reasons and known.'),
});

/** Answer of the publish API. */
export const publishedSchema = z.object({
  offsets: z.array(offsetSchema).readonly().describe('One for each message, in the order in which they were sent.'),
});

const [signalEvent, statusEvent] = FEED_EVENTS;

/** Answer of `GET /v1/signals`. */
export const historySchema = z.object({
  entries: z
    .array(
      z.discriminatedUnion('event', [
        z.object({ offset: offsetSchema, event: z.literal(signalEvent), data: signalSchema }),
        z.object({ offset: offsetSchema, event: z.literal(statusEvent), data: statusSchema }),
      ]),
    )
    .describe('Oldest first; `data` is as it was published.'),
  deleted: z
    .array(offsetSchema)
    .min(1)
    .optional()
    .describe('Places among these, or right before them, whose entries were deleted. Left out if there are none.'),
  next: offsetSchema,
});

/** Answer of `DELETE /v1/entries/{offset}`. */
export const deletedSchema = z.object({
  offset: offsetSchema,
  deleted: z.literal(true),
  already: z.boolean().describe('Whether it had been deleted before.'),
});

const count = z.int().nonnegative();

/** What a pod says about itself. */
export const podInfoSchema = z.object({
  pod: z.string().describe('A name that no other process has.'),
  version: z.string(),
  node: z.string().describe('Version of Node.js.'),
  uptime: count.describe('Seconds.'),
  notReady: z.array(notReadyReasonSchema).readonly().describe('Empty when the pod is ready.'),
  connections: z.object({ websocket: count, polling: count }),
  topics: count.describe('Topics that somebody on this pod is subscribed to.'),
  head: offsetSchema,
  lag: count.describe('Entries of the journal that this pod has not read yet.'),
  bridge: z.boolean().describe('Whether this pod carries Pub/Sub into the journal.'),
});

/** What a pod says about itself. */
export type PodInfo = Readonly<z.infer<typeof podInfoSchema>>;

/** Answer of `GET /v1/info`. */
export const infoSchema = z.object({
  pods: z.array(podInfoSchema).min(1).describe('All pods, the one that was asked first.'),
});

/** Answer of `POST /v1/disconnect`. */
export const disconnectedSchema = z.object({ disconnected: count.describe('Connections ended, on all pods.') });

/** Every error: RFC 9457. */
export const problemSchema = z
  .object({
    type: z.string().regex(/^urn:signal-gateway:problem:[a-z_]+$/),
    title: z.string(),
    status: z.int().min(400).max(599),
    code: z.enum(Object.keys(PROBLEMS) as ProblemCode[]).describe('Never changes its meaning.'),
    detail: z.string().min(1).describe('What happened and what to do, for a person.'),
    index: count.optional().describe('Of the item in the batch that was refused.'),
    oldest: offsetSchema.optional(),
  })
  .describe(
    'A problem (RFC 9457). `index` is present when an item of a batch is refused. `oldest` is present when an offset is no ' +
      'longer kept: the oldest entry comes after it.',
  );
