import { messageOf } from '../errors.js';

/** Why Redis cannot be used, as metrics and logs name it. A code never changes its meaning. */
export type RedisFaultCode =
  | 'unreachable'
  | 'no_answer'
  | 'dns'
  | 'tls'
  | 'password'
  | 'no_permission'
  | 'no_primary'
  | 'read_only'
  | 'no_replicas'
  | 'out_of_memory'
  | 'disk'
  | 'slot'
  | 'cluster_down'
  | 'loading'
  | 'max_clients'
  | 'wrong_type'
  | 'not_heard'
  | 'other_database'
  | 'unsupported'
  | 'other';

/** What is wrong with Redis, for people. */
export interface RedisFault {
  readonly code: RedisFaultCode;
  /** What Redis, the network or TLS said; may name commands and addresses, never a secret. */
  readonly reason: string;
  /** What to do about it: a sentence or two. */
  readonly advice: string;
}

/** An error whose fault is known where it is thrown. */
export class RedisFaultError extends Error {
  override readonly name = 'RedisFaultError';
  readonly fault: RedisFault;

  constructor(fault: RedisFault, options?: ErrorOptions) {
    super(fault.reason, options);
    this.fault = fault;
  }
}

/** What to do about each kind of fault. */
const ADVICE: Readonly<Record<RedisFaultCode, string>> = {
  unreachable: 'Start Redis there, or correct the address in REDIS_URL.',
  no_answer: 'Redis, or the network to it, hangs. Check its load and its log.',
  dns: 'Correct the host name in REDIS_URL, or the DNS.',
  tls: 'Check that both sides speak TLS, and that the certificate is for this name and from an authority that is trusted.',
  password:
    'Correct the user and the password in REDIS_URL; those of sentinels are REDIS_SENTINEL_USER and REDIS_SENTINEL_PASSWORD.',
  no_permission: 'Give the Redis user this right; docs/operations.md lists all that are needed.',
  no_primary: 'Check the sentinels: the name in REDIS_URL must be one that they watch, and have a primary.',
  read_only: 'This server is a replica. Point REDIS_URL at the primary, or make this server the primary.',
  no_replicas: 'Redis has too few replicas in step (min-replicas-to-write). Start replicas, or lower the setting.',
  out_of_memory: 'Redis is full. Raise maxmemory, or remove other keys.',
  disk: 'Redis cannot save to its disk and refuses writes. Free the disk, and see its log.',
  slot: 'A slot of the cluster is being moved. Let the move end, or end it: redis-cli --cluster fix.',
  cluster_down: 'The cluster does not serve all slots. Start the missing nodes: redis-cli --cluster check.',
  loading: 'Redis is reading its data or runs a long script. It will answer when it is done.',
  max_clients: 'Redis has no room for more connections. Raise maxclients, or close other clients.',
  wrong_type: 'A key of this gateway holds something else. See signal-gateway doctor.',
  not_heard: 'What is published in Redis does not arrive here. Check what stands between, such as a proxy.',
  other_database: 'Give one of the gateways another REDIS_KEY_PREFIX and other channels.',
  unsupported: 'Use Redis 6.2 or later, or Valkey.',
  other: 'See the log of Redis.',
};

const CLOSED_ADVICE = 'The gateway connects again, and says what stands in the way if something does.';

/** How each fault is told from what Redis answers (the first word of an error) or from what Node.js says. The first match counts. */
const PATTERNS: readonly (readonly [RedisFaultCode, RegExp])[] = [
  ['password', /\b(?:WRONGPASS|NOAUTH)\b|invalid (?:username-password|password)/i],
  ['no_permission', /\bNOPERM\b|no permissions|user executing the script can't/i],
  ['read_only', /\bREADONLY\b|\bUNBLOCKED\b/],
  ['no_replicas', /\bNOREPLICAS\b/],
  ['out_of_memory', /\bOOM\b/],
  ['disk', /\bMISCONF\b/],
  ['cluster_down', /\bCLUSTERDOWN\b/],
  ['slot', /\b(?:TRYAGAIN|MOVED|ASK|CROSSSLOT)\b/],
  ['loading', /\b(?:LOADING|BUSY|MASTERDOWN)\b/],
  ['wrong_type', /\bWRONGTYPE\b/],
  ['max_clients', /max number of clients/],
  ['unsupported', /unknown (?:sub)?command/i],
  ['dns', /\b(?:ENOTFOUND|EAI_AGAIN|EAI_NODATA|EAI_FAIL)\b/],
  ['tls', /certificate|\b(?:SSL|TLS)\b|wrong version number|ERR_TLS|EPROTO/i],
  ['no_answer', /timed? ?out|no answer|ETIMEDOUT/i],
  ['unreachable', /ECONNREFUSED|ECONNRESET|EPIPE|EHOSTUNREACH|ENETUNREACH|closed|writeable|writable/i],
];

/**
 * Says what an error of Redis, of the network or of TLS means.
 *
 * @param error - what was thrown; a {@link RedisFaultError} says it itself
 */
export function faultOf(error: unknown): RedisFault {
  if (error instanceof RedisFaultError) return error.fault;
  const reason = messageOf(error);
  const text = `${(error as NodeJS.ErrnoException | null)?.code ?? ''} ${reason}`;
  const code = PATTERNS.find(([, pattern]) => pattern.test(text))?.[0] ?? 'other';
  // Redis may be well: what stands in the way shows at the next attempt.
  const isClosed = code === 'unreachable' && /connection (?:for commands )?(?:was|is) closed/i.test(reason);
  return { code, reason, advice: isClosed ? CLOSED_ADVICE : ADVICE[code] };
}

/** A fault of a kind that is known, with the advice that belongs to it. */
export function faultFor(code: RedisFaultCode, reason: string): RedisFault {
  return { code, reason, advice: ADVICE[code] };
}
