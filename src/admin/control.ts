import { z } from 'zod';
import { Problem, messageOf } from '../errors.js';
import type { AdminRequest, AdminResponse, Route } from './http.js';
import { readJson } from './json-body.js';

/** Whom to disconnect, and whether they are to come again by themselves. */
export interface DisconnectOrder {
  readonly user?: string | undefined;
  readonly sid?: string | undefined;
  readonly reconnect: boolean;
}

/** All pods, as the one that is asked sees them. */
export interface Pods {
  /**
   * What every pod says of itself, the one that is asked first.
   *
   * @throws when one of them does not answer
   */
  info(): Promise<readonly object[]>;
  /**
   * Disconnects clients on every pod.
   *
   * @returns how many
   * @throws when a pod does not answer; the others have carried it out
   */
  disconnect(order: DisconnectOrder): Promise<number>;
}

const MAX_NAME_LENGTH = 256;
const name = z.string().min(1).max(MAX_NAME_LENGTH);
/** Body of `POST /v1/disconnect`. */
export const orderSchema = z
  .strictObject({
    user: name.optional().describe('The `sub` of tokens: all clients of this user.'),
    sid: name.optional().describe('One client.'),
    reconnect: z
      .boolean()
      .default(false)
      .describe(
        'Closes the connection, after which the stock client comes again by itself, instead of ending its socket.',
      ),
  })
  .refine(({ user, sid }) => (user === undefined) !== (sid === undefined))
  // The same for the published contract.
  .meta({ oneOf: [{ required: ['user'] }, { required: ['sid'] }] });

async function disconnect(pods: Pods, request: AdminRequest): Promise<AdminResponse> {
  const order = orderSchema.safeParse(readJson(request).value);
  if (!order.success) {
    throw new Problem(
      'invalid_disconnect',
      'Send {"user": "..."} or {"sid": "..."}, and "reconnect": true if they are to come again by themselves.',
    );
  }
  return { status: 200, body: JSON.stringify({ disconnected: await asked(pods.disconnect(order.data)) }) };
}

async function asked<T>(answers: Promise<T>): Promise<T> {
  try {
    return await answers;
  } catch (error) {
    throw new Problem('pods_unreachable', `Not every pod has answered (${messageOf(error)}). Try again.`, {
      headers: { 'Retry-After': '1' },
    });
  }
}

/** `GET /v1/info`: every pod. `POST /v1/disconnect`: ends the connections of a user, or of one client, on whichever pod. */
export function controlRoutes(pods: Pods, guard: (request: AdminRequest) => void): Route[] {
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
      maxBody: 4096,
      handle: (request) => disconnect(pods, request),
    },
  ];
}
