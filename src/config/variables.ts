import { compile as compileNetworks } from 'proxy-addr';
import { z } from 'zod';
import { CORS_ORIGIN } from './origin-list.js';
import { REDIS_ACCESS_VARIABLES, type RedisAccessName, redisMismatches } from './redis-access.js';
import { REDIS_URL_TAKES, type RedisTarget, parseRedisUrl } from '../redis/url.js';
import {
  type Environment,
  type Variable,
  type VariableProblem,
  address,
  commaList,
  file,
  oneOf,
  text,
  wholeNumber,
} from './variable.js';

/** A path whose parts need no escapes and are not `.` or `..`, which clients resolve before they send a request. */
const BASE_PATH = /^\/(?:(?!\.{1,2}(?:\/|$))[\w.~-]+\/)*(?:(?!\.{1,2}$)[\w.~-]+)?$/;
const ONE_MEBIBYTE = 1024 * 1024;
/** RFC 7518, section 3.2: a key of HS256 has at least as many bits as its hash. */
const MIN_SECRET_BYTES = 32;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whoever can change keys on their way can sign tokens, so they come over TLS or from this machine. */
function isSafeUrl({ protocol, hostname, username, hash }: URL): boolean {
  return (protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname))) && username === '' && hash === '';
}

function areNetworks(list: readonly string[]): boolean {
  try {
    compileNetworks([...list]);
    return list.length > 0;
  } catch {
    return false;
  }
}

/** Every environment variable: what it takes, and its default. docs/configuration.md says what each is for. */
export const VARIABLES = {
  PORT: wholeNumber([0, 65_535], 3000),
  HOST: address('0.0.0.0'),
  ADMIN_PORT: wholeNumber([0, 65_535], 3001),
  ADMIN_HOST: address('127.0.0.1'),
  REDIS_URL: {
    schema: z.string().transform((value, context) => {
      const target = parseRedisUrl(value);
      if (target !== undefined) return target;
      context.addIssue('not a Redis URL');
      return z.NEVER;
    }),
    fallback: undefined,
    takes: REDIS_URL_TAKES,
    secret: true,
  } as Variable<RedisTarget>,
  ...REDIS_ACCESS_VARIABLES,
  REDIS_KEY_PREFIX: text('gateway', 'a name of letters, digits, ".", "_", ":" and "-"', /^[\w.:-]{1,100}$/),
  SIGNAL_CHANNEL: text('new_signal', 'the name of a Pub/Sub channel'),
  STATUS_CHANNEL: text('status_update', 'the name of a Pub/Sub channel'),
  SIGNAL_STREAM: text(undefined, 'the name of a Redis stream'),
  STATUS_STREAM: text(undefined, 'the name of a Redis stream'),
  WELCOME_MESSAGE: text('Successfully connected to Quantum Trader Pro real-time feed.', 'a text'),
  DASHBOARD: oneOf(['on', 'off'], 'on'),
  BASE_PATH: {
    schema: z
      .string()
      .refine((value) => BASE_PATH.test(value))
      .transform((value) => value.replace(/\/$/, '')),
    fallback: '/',
    takes: 'a path such as /feed, of letters, digits, "-", "_", "." and "~" between slashes',
  } as Variable<string>,
  CORS_ORIGIN,
  TRANSPORTS: {
    schema: z
      .string()
      .transform(commaList)
      .pipe(z.array(z.enum(['websocket', 'polling'])).min(1)),
    fallback: 'websocket,polling',
    takes: 'websocket, polling or both, comma-separated',
  } as Variable<TransportName[]>,
  COMPRESSION: oneOf(['off', 'shared', 'dedicated'], 'off'),
  // 16,000 and not 16,384: uWebSockets.js batches a message only if it stays below 16 KiB with its frame.
  MAX_SIGNAL_BYTES: wholeNumber([64, ONE_MEBIBYTE], 16_000, 'bytes'),
  JOURNAL_MAXLEN: wholeNumber([1, 100_000_000], 100_000, 'entries'),
  JOURNAL_MIN_REPLICAS: wholeNumber([0, 9], 0, 'replicas'),
  MAX_BACKPRESSURE: wholeNumber([1024, 1024 * ONE_MEBIBYTE], ONE_MEBIBYTE, 'bytes'),
  MAX_CONNECTIONS: wholeNumber([0, 100_000_000], 0),
  MAX_CONNECTIONS_PER_IP: wholeNumber([0, 100_000_000], 0),
  MAX_CONNECTS_PER_SECOND: wholeNumber([0, 1_000_000], 0),
  MAX_CONNECTS_PER_SECOND_PER_IP: wholeNumber([0, 1_000_000], 0),
  MAX_MESSAGES_PER_SECOND: wholeNumber([0, 1_000_000], 100),
  MAX_BYTES_PER_SECOND: wholeNumber([0, 1024 * ONE_MEBIBYTE], 262_144, 'bytes'),
  MAX_MEMORY_PERCENT: wholeNumber([0, 100], 90, 'percent'),
  MEMORY_LIMIT: wholeNumber([ONE_MEBIBYTE, 1024 * 1024 * ONE_MEBIBYTE], undefined, 'bytes'),
  TRUST_PROXY: {
    schema: z
      .string()
      .transform((value): TrustProxy => (/^\d{1,2}$/.test(value) ? Number(value) : commaList(value)))
      .refine((value) => (typeof value === 'number' ? value > 0 : areNetworks(value))),
    fallback: undefined,
    takes: 'a number of hops from 1 to 99, or a comma-separated list of addresses and networks such as 10.0.0.0/8',
  } as Variable<TrustProxy>,
  API_KEY: {
    schema: z
      .string()
      .transform(commaList)
      .refine((keys) => keys.length > 0 && keys.every((key) => /^[\x21-\x7e]+$/.test(key))),
    fallback: undefined,
    takes: 'one or more keys, comma-separated, each of visible ASCII characters',
    secret: true,
  } as Variable<string[]>,
  AUTH: oneOf(['none', 'jwt'], 'none'),
  JWT_SECRET: {
    schema: z.string().refine((value) => Buffer.byteLength(value) >= MIN_SECRET_BYTES),
    fallback: undefined,
    takes: `a text of at least ${MIN_SECRET_BYTES} bytes`,
    secret: true,
  } as Variable<string>,
  JWKS_URL: {
    schema: z
      .string()
      .refine((value) => URL.canParse(value))
      .transform((value) => new URL(value))
      .refine(isSafeUrl),
    fallback: undefined,
    takes: 'an https:// address without a user (http:// only on this machine)',
    secret: true,
  } as Variable<URL>,
  JWT_ISSUER: text(undefined, 'the issuer that tokens must name'),
  JWT_AUDIENCE: text(undefined, 'the audience that tokens must name'),
  TLS_CERT: file(),
  TLS_KEY: file(),
  TLS_CHECK_INTERVAL: wholeNumber([100, 3_600_000], 10_000, 'milliseconds'),
  PING_INTERVAL: wholeNumber([100, 3_600_000], 25_000, 'milliseconds'),
  PING_TIMEOUT: wholeNumber([100, 3_600_000], 20_000, 'milliseconds'),
  CONNECT_TIMEOUT: wholeNumber([100, 3_600_000], 45_000, 'milliseconds'),
  SLOW_TIMEOUT: wholeNumber([1000, 3_600_000], 60_000, 'milliseconds'),
  // Holds all topics that a client may have and the longest token, even where the client escapes every character.
  MAX_PAYLOAD: wholeNumber([256, 64 * ONE_MEBIBYTE], ONE_MEBIBYTE, 'bytes'),
  // A token of 8,192 characters, a cookie of 8 KB, and 4 KB for everything else.
  MAX_HEADER_BYTES: wholeNumber([4096, 131_072], 20_480, 'bytes'),
  DRAIN_DELAY_SECONDS: wholeNumber([0, 3600], 5, 'seconds'),
  DRAIN_SECONDS: wholeNumber([0, 3600], 20, 'seconds'),
  LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
} satisfies Record<string, Variable<unknown>>;

/** Variables without a default: their settings may be unset. */
type OptionalName =
  | 'REDIS_URL'
  | RedisAccessName
  | 'SIGNAL_STREAM'
  | 'STATUS_STREAM'
  | 'API_KEY'
  | 'MEMORY_LIMIT'
  | 'TRUST_PROXY'
  | 'JWT_SECRET'
  | 'JWKS_URL'
  | 'JWT_ISSUER'
  | 'JWT_AUDIENCE'
  | 'TLS_CERT'
  | 'TLS_KEY';

/** The values of all variables, checked. */
export type VariableValues = Omit<AllValues, OptionalName> & Partial<Pick<AllValues, OptionalName>>;

type AllValues = { [K in keyof typeof VARIABLES]: (typeof VARIABLES)[K] extends Variable<infer T> ? T : never };

/** Which proxies are trusted to name a client's address: a number of hops, or those in these networks. */
export type TrustProxy = number | readonly string[];

/** How WebSocket messages are compressed. */
export type Compression = AllValues['COMPRESSION'];

/** The transports that a client may use. */
export type TransportName = 'websocket' | 'polling';

/** What is wrong with the names of streams: each stream is one key of Redis, and none of the gateway's own. */
function streamMismatches(env: Environment): VariableProblem[] {
  const problems: VariableProblem[] = [];
  const own = `{${env['REDIS_KEY_PREFIX'] || VARIABLES.REDIS_KEY_PREFIX.fallback}}:`;
  for (const variable of ['SIGNAL_STREAM', 'STATUS_STREAM']) {
    const stream = env[variable];
    if (!stream) continue;
    const refuse = (takes: string): void => void problems.push({ variable, got: JSON.stringify(stream), takes });
    if (!env['REDIS_URL']) refuse('nothing, since REDIS_URL is not set: without Redis there are no streams to read');
    if (stream.startsWith(own)) refuse(`a name that does not begin with ${own}, as the gateway's own keys do`);
  }
  if (env['SIGNAL_STREAM'] && env['SIGNAL_STREAM'] === env['STATUS_STREAM']) {
    const got = JSON.stringify(env['STATUS_STREAM']);
    problems.push({ variable: 'STATUS_STREAM', got, takes: 'another stream than SIGNAL_STREAM' });
  }
  return problems;
}

/** What is wrong with variables that are each valid, but do not go together. */
export function mismatches(env: Environment): VariableProblem[] {
  const problems = [...redisMismatches(env), ...streamMismatches(env)];
  const needs = (variable: string, takes: string): void => void problems.push({ variable, got: 'nothing', takes });
  const refuses = (variable: string, takes: string): void => void problems.push({ variable, got: '(hidden)', takes });
  if (env['TLS_CERT'] && !env['TLS_KEY']) needs('TLS_KEY', 'a file, since TLS_CERT is set');
  if (env['TLS_KEY'] && !env['TLS_CERT']) needs('TLS_CERT', 'a file, since TLS_KEY is set');
  // Whoever sets it expects that what is confirmed is kept; a journal in memory has no replica.
  if (Number(env['JOURNAL_MIN_REPLICAS']) > 0 && !env['REDIS_URL'])
    needs('REDIS_URL', 'an address, since JOURNAL_MIN_REPLICAS is set');
  if (env['AUTH'] === 'jwt') {
    if (!env['JWT_SECRET'] && !env['JWKS_URL'])
      needs('JWT_SECRET', 'a secret, or JWKS_URL an address, since AUTH is jwt');
    // With both, a public key could be used as the secret.
    if (env['JWT_SECRET'] && env['JWKS_URL']) refuses('JWT_SECRET', 'nothing, since JWKS_URL is set');
    // The issuer signs tokens for other services with the same keys: without an audience, those would be accepted here.
    if (env['JWKS_URL'] && !env['JWT_AUDIENCE']) needs('JWT_AUDIENCE', 'an audience, since JWKS_URL is set');
  } else {
    // Whoever sets one of these expects a protection that AUTH=none does not give.
    for (const name of ['JWT_SECRET', 'JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE']) {
      if (env[name]) refuses(name, 'nothing, since AUTH is not jwt');
    }
  }
  return problems;
}
