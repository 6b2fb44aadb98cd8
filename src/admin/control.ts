import { z } from 'zod';
import { WELL_FORMED } from '../contract/events.js';
import { scanObject } from '../contract/json-scan.js';
import { Problem, messageOf } from '../errors.js';
import type { RouteRequest, RouteResponse, Route } from '../http/router.js';
import { readJson } from '../http/json-body.js';

/** Which clients to disconnect, and whether they reconnect by themselves. */
export interface DisconnectOrder {
  readonly user?: string | undefined;
  readonly sid?: string | undefined;
  readonly reconnect: boolean;
}

/** All pods, as this one sees them. */
export interface Pods {
  /**
   * What every pod says about itself; this pod comes first.
   *
   * @throws when one of them does not answer
   */
  info(): Promise<readonly object[]>;
  /**
   * Disconnects clients on every pod.
   *
   * @returns how many
   * @throws when a pod does not answer; the others have disconnected their clients
   */
  disconnect(order: DisconnectOrder): Promise<number>;
}

const MAX_NAME_LENGTH = 256;
// Between pods an unpaired surrogate becomes U+FFFD, which makes it another name.
const name = z.string().min(1).max(MAX_NAME_LENGTH).regex(WELL_FORMED);
/** Body of `POST /v1/disconnect`. */
export const orderSchema = z
  .strictObject({
    user: name.optional().describe('The `sub` of tokens: all clients of this user.'),
    sid: name.optional().describe('One client.'),
    reconnect: z
      .boolean()
      .default(false)
      .describe(
        'Closes the connection, after which the stock client reconnects by itself, instead of ending its socket.',
      ),
  })
  .refine(({ user, sid }) => (user === undefined) !== (sid === undefined))
  // The same for the published contract.
  .meta({ oneOf: [{ required: ['user'] }, { required: ['sid'] }] })
  .describe('Each field may occur only once.');

/** The fields of an order; the schema does not let them nest. */
const RULES = { once: ['user', 'sid', 'reconnect'], maxDepth: 1 };

/** @throws Problem if it does not say which clients to disconnect, or other readers could understand it otherwise */
function readOrder(request: RouteRequest): DisconnectOrder {
  const { text, value } = readJson(request);
  const order = orderSchema.safeParse(value);
  if (!order.success) {
    const [issue] = order.error.issues;
    if (issue?.code === 'invalid_format') {
      const detail = `The field "${issue.path.join('.')}" has an unpaired surrogate. Send whole characters.`;
      throw new Problem('lone_surrogate', `${detail} Nobody was disconnected.`);
    }
    throw new Problem(
      'invalid_disconnect',
      'Send {"user": "..."} or {"sid": "..."}, and "reconnect": true if they are to reconnect by themselves.',
    );
  }
  const fault = scanObject(text, value as object, RULES);
  if (fault !== undefined) {
    const detail = `The field "${fault.field}" appears twice, and parsers differ in which one they use. Send it once.`;
    throw new Problem('duplicate_field', `${detail} Nobody was disconnected.`);
  }
  return order.data;
}

async function disconnect(pods: Pods, request: RouteRequest): Promise<RouteResponse> {
  const disconnected = await asked(pods.disconnect(readOrder(request)));
  return { status: 200, body: JSON.stringify({ disconnected }) };
}

async function asked<T>(answers: Promise<T>): Promise<T> {
  try {
    return await answers;
  } catch (error) {
    throw new Problem('pods_unreachable', `Not every pod answered (${messageOf(error)}). Try again.`, {
      headers: { 'Retry-After': '1' },
    });
  }
}

/** `GET /v1/info`: every pod. `POST /v1/disconnect`: ends the connections of a user, or of one client, on whichever pod. */
export function controlRoutes(pods: Pods, guard: (request: RouteRequest) => void): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/info',
      guard,
      handle: async () => ({ status: 200, body: JSON.stringify({ pods: await asked(pods.info()) }) }),
    },
    {
      method: 'POST',
      path: '/v1/disconnect',
      guard,
      maxBodyBytes: 4096,
      handle: (request) => disconnect(pods, request),
    },
  ];
}
