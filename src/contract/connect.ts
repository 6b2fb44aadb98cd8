import { z } from 'zod';
import { REFUSALS, type RefusalCode, TOKEN_ERRORS, type TokenErrorCode } from '../errors.js';
import { topicsSchema } from './topics.js';

/** `auth` of a client, which is what its CONNECT packet carries. Other fields are ignored. */
export const connectSchema = z
  .looseObject({
    topics: topicsSchema.optional(),
    token: z
      .string()
      .optional()
      .describe(
        'Signed JSON Web Token, needed with `AUTH=jwt`; it may also come as `Authorization: Bearer` in the handshake.',
      ),
    pid: z
      .string()
      .optional()
      .describe('Set by the stock client when it connects again, to recover. Opaque; of no concern to applications.'),
    offset: z
      .string()
      .optional()
      .describe('Set by the stock client with `pid`: the last offset it got. Opaque; of no concern to applications.'),
  })
  .describe('The option `auth` of the client.');

/** Why a client is refused by `connect_error`, besides faults of its token. */
const CONNECT_ERRORS = [
  'invalid_topics',
  'too_many_topics',
  'topics_not_allowed',
  'already_connected',
  'payload_too_large',
] as const;

/** Codes of `connect_error`; after the one that is left out the connection is closed instead, without a word. */
export type ConnectErrorCode = Exclude<TokenErrorCode, 'keys_unavailable'> | (typeof CONNECT_ERRORS)[number];

const isRefused = (code: TokenErrorCode): code is Exclude<TokenErrorCode, 'keys_unavailable'> =>
  code !== 'keys_unavailable';

const connectErrorCodes: ConnectErrorCode[] = [
  ...(Object.keys(TOKEN_ERRORS) as TokenErrorCode[]).filter(isRefused),
  ...CONNECT_ERRORS,
];

/** What a client that is refused gets; the stock client makes the `Error` of its event `connect_error` of it. */
export const connectErrorSchema = z.object({
  message: z.string().describe('For a person.'),
  data: z.object({ code: z.enum(connectErrorCodes) }),
});

/** What a client that is refused gets. */
export type ConnectError = Readonly<z.infer<typeof connectErrorSchema>>;

/** The HTTP answer to a client that is refused before any work is done for it. */
export const refusalSchema = z.object({
  code: z.enum(Object.keys(REFUSALS) as RefusalCode[]),
  message: z.string().describe('For a person.'),
});
