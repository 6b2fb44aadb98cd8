import { compile as compileNetworks } from 'proxy-addr';
import { z } from 'zod';
import { EXIT, StartError } from '../errors.js';
import { CORS_ORIGIN } from './origin-list.js';
import { REDIS_URL_TAKES, type RedisTarget, describeRedis, parseRedisUrl } from '../redis/url.js';
import { address, type Variable, commaList, file, oneOf, text, wholeNumber } from './variable.js';

const COMPRESSIONS = ['off', 'shared', 'dedicated'] as const;
/** How WebSocket messages are compressed. */
export type Compression = (typeof COMPRESSIONS)[number];
/** The transports a client may use. */
export type TransportName = 'websocket' | 'polling';

/** How tokens of clients are checked: with a secret, or with the public keys that a fixed address gives. */
export interface JwtConfig {
  readonly key: { readonly secret: string } | { readonly jwksUrl: URL };
  /** Unset: any issuer. */
  readonly issuer: string | undefined;
  /** Unset: any audience. */
  readonly audience: string | undefined;
}

/** How much clients may do; 0 is no limit. */
export interface LimitsConfig {
  /** Clients taken by this process. */
  readonly maxConnections: number;
  /** Clients taken from one address (an IPv6 network of 64 bits). */
  readonly maxConnectionsPerIp: number;
  /** New clients a second, of all addresses and of each. */
  readonly maxConnectsPerSecond: number;
  readonly maxConnectsPerSecondPerIp: number;
  /** Messages and bytes that one client may send in a second, over a while. */
  readonly maxMessagesPerSecond: number;
  readonly maxBytesPerSecond: number;
  /** Percent of the memory limit above which no new clients are taken. */
  readonly maxMemoryPercent: number;
  /** Bytes; `undefined` is the container's limit, or the machine's memory. */
  readonly memoryLimit: number | undefined;
}

/** Which proxies are believed when they name a client's address: so many hops, or those in these networks. */
export type TrustProxy = number | readonly string[];

/** Everything a process is told from outside; frozen. Durations are in milliseconds unless the name says otherwise. */
export interface Config {
  /** Public address: Socket.IO. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** Internal address: health, metrics, publish API. */
  readonly adminHost: string;
  readonly adminPort: number;
  /** Where Redis is; `undefined` runs one pod with a journal in memory. */
  readonly redis: RedisTarget | undefined;
  /** First part of every Redis key, without the braces of the hash tag. */
  readonly redisKeyPrefix: string;
  readonly signalChannel: string;
  readonly statusChannel: string;
  readonly welcomeMessage: string;
  /** Whether the public port serves the dashboard at `/`. */
  readonly dashboard: boolean;
  /** What every path of the public port begins with, such as `/feed`; empty for none. */
  readonly basePath: string;
  /** Origins that browsers may come from, in the form in which they send them; `*` alone allows every one. */
  readonly corsOrigins: readonly string[];
  readonly transports: readonly TransportName[];
  /** How WebSocket messages are compressed (permessage-deflate): not, with one compressor for all, or one for each client. */
  readonly compression: Compression;
  /** Longest message taken from a producer, in bytes. */
  readonly maxSignalBytes: number;
  /** Entries kept for recovery. */
  readonly journalMaxlen: number;
  /** Bytes buffered for one client before it is cut. */
  readonly maxBackpressure: number;
  readonly limits: LimitsConfig;
  /** `undefined`: the address of a client is that of its connection. */
  readonly trustProxy: TrustProxy | undefined;
  /** `undefined`: clients need no token. */
  readonly jwt: JwtConfig | undefined;
  /** Keys of the publish API; empty answers loopback callers only. */
  readonly apiKeys: readonly string[];
  /** Files of the certificate and the key of the public port; `undefined` is plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly checkInterval: number } | undefined;
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly connectTimeout: number;
  /** Longest head of a request, its request line and all headers together, in bytes. */
  readonly maxHeaderBytes: number;
  /** Bytes one client may send in one message. */
  readonly maxPayload: number;
  /** SIGTERM: how long clients are still taken while load balancers notice that this pod is going. */
  readonly drainDelay: number;
  /** SIGTERM: the time over which the clients are let go. */
  readonly drainDuration: number;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
}

/** A path whose parts need no escapes, and are no `.` or `..`, which clients resolve before they ask. */
const BASE_PATH = /^\/(?:(?!\.{1,2}(?:\/|$))[\w.~-]+\/)*(?:(?!\.{1,2}$)[\w.~-]+)?$/;
const ONE_MEBIBYTE = 1024 * 1024;
/** RFC 7518, section 3.2: a key of HS256 has at least as many bits as its hash. */
const MIN_SECRET_BYTES = 32;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Keys that come over a line that others can write to would let them sign tokens. */
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

const VARIABLES = {
  PORT: wholeNumber(0, 65_535, 3000),
  HOST: address('0.0.0.0'),
  ADMIN_PORT: wholeNumber(0, 65_535, 3001),
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
  REDIS_KEY_PREFIX: text('gateway', 'a name of letters, digits, ".", "_", ":" and "-"', /^[\w.:-]{1,100}$/),
  SIGNAL_CHANNEL: text('new_signal', 'the name of a Pub/Sub channel'),
  STATUS_CHANNEL: text('status_update', 'the name of a Pub/Sub channel'),
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
  COMPRESSION: oneOf(COMPRESSIONS, 'off'),
  // 16,000 and not 16,384: uWebSockets.js batches only what stays below 16 KiB with its framing.
  MAX_SIGNAL_BYTES: wholeNumber(64, ONE_MEBIBYTE, 16_000, 'bytes'),
  JOURNAL_MAXLEN: wholeNumber(1, 100_000_000, 100_000, 'entries'),
  MAX_BACKPRESSURE: wholeNumber(1024, 1024 * ONE_MEBIBYTE, ONE_MEBIBYTE, 'bytes'),
  MAX_CONNECTIONS: wholeNumber(0, 100_000_000, 0),
  MAX_CONNECTIONS_PER_IP: wholeNumber(0, 100_000_000, 0),
  MAX_CONNECTS_PER_SECOND: wholeNumber(0, 1_000_000, 0),
  MAX_CONNECTS_PER_SECOND_PER_IP: wholeNumber(0, 1_000_000, 0),
  MAX_MESSAGES_PER_SECOND: wholeNumber(0, 1_000_000, 100),
  MAX_BYTES_PER_SECOND: wholeNumber(0, 1024 * ONE_MEBIBYTE, 262_144, 'bytes'),
  MAX_MEMORY_PERCENT: wholeNumber(0, 100, 90, 'percent'),
  MEMORY_LIMIT: wholeNumber(ONE_MEBIBYTE, 1024 * 1024 * ONE_MEBIBYTE, undefined, 'bytes'),
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
  TLS_CHECK_INTERVAL: wholeNumber(100, 3_600_000, 10_000, 'milliseconds'),
  PING_INTERVAL: wholeNumber(100, 3_600_000, 25_000, 'milliseconds'),
  PING_TIMEOUT: wholeNumber(100, 3_600_000, 20_000, 'milliseconds'),
  CONNECT_TIMEOUT: wholeNumber(100, 3_600_000, 45_000, 'milliseconds'),
  // All topics that one client may have fit, with the longest token, also where the client escapes every character.
  MAX_PAYLOAD: wholeNumber(256, 64 * ONE_MEBIBYTE, ONE_MEBIBYTE, 'bytes'),
  // A token of 8,192 characters, a cookie of 8 KB and the 4 KB of everything else that comes with them.
  MAX_HEADER_BYTES: wholeNumber(4096, 131_072, 20_480, 'bytes'),
  DRAIN_DELAY_SECONDS: wholeNumber(0, 3600, 5, 'seconds'),
  DRAIN_SECONDS: wholeNumber(0, 3600, 20, 'seconds'),
  LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
} satisfies Record<string, Variable<unknown>>;

type OptionalName =
  | 'REDIS_URL'
  | 'API_KEY'
  | 'MEMORY_LIMIT'
  | 'TRUST_PROXY'
  | 'JWT_SECRET'
  | 'JWKS_URL'
  | 'JWT_ISSUER'
  | 'JWT_AUDIENCE'
  | 'TLS_CERT'
  | 'TLS_KEY';

type Values = { [K in keyof typeof VARIABLES]: (typeof VARIABLES)[K] extends Variable<infer T> ? T : never };

/** One thing wrong with the environment. */
export interface ConfigProblem {
  readonly variable: string;
  /** What it was set to; secrets are masked. */
  readonly got: string;
  readonly takes: string;
}

/** Thrown by {@link loadConfig} with every problem at once; exit code 2. */
export class ConfigError extends StartError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ variable, got, takes }) => `  ${variable}: got ${got}; takes ${takes}.`);
    super(`The configuration is wrong. Set these variables right and start again:\n${lines.join('\n')}`, EXIT.config);
    this.problems = problems;
  }
}

/** Variables that do not go together. */
function mismatches(env: Readonly<Record<string, string | undefined>>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const needs = (variable: string, takes: string): void => void problems.push({ variable, got: 'nothing', takes });
  const refuses = (variable: string, takes: string): void => void problems.push({ variable, got: '(hidden)', takes });
  if (env['TLS_CERT'] && !env['TLS_KEY']) needs('TLS_KEY', 'a file, since TLS_CERT is set');
  if (env['TLS_KEY'] && !env['TLS_CERT']) needs('TLS_CERT', 'a file, since TLS_KEY is set');
  if (env['AUTH'] === 'jwt') {
    if (!env['JWT_SECRET'] && !env['JWKS_URL'])
      needs('JWT_SECRET', 'a secret, or JWKS_URL an address, since AUTH is jwt');
    // With both, a public key could be taken for the secret.
    if (env['JWT_SECRET'] && env['JWKS_URL']) refuses('JWT_SECRET', 'nothing, since JWKS_URL is set');
    // The keys are the issuer's: without an audience, tokens that it gave out for other services would open this one.
    if (env['JWKS_URL'] && !env['JWT_AUDIENCE']) needs('JWT_AUDIENCE', 'an audience, since JWKS_URL is set');
  } else {
    // Whoever sets one of these expects protection that is not there.
    for (const name of ['JWT_SECRET', 'JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE']) {
      if (env[name]) refuses(name, 'nothing, since AUTH is not jwt');
    }
  }
  return problems;
}

function jwtOf(v: Partial<Values>): JwtConfig | undefined {
  const { JWT_SECRET: secret, JWKS_URL: jwksUrl, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = v;
  if (jwksUrl !== undefined) return { key: { jwksUrl }, issuer, audience };
  return secret === undefined ? undefined : { key: { secret }, issuer, audience };
}

/** A variable as it is in force, for people; secrets are hidden. */
export interface Setting {
  readonly variable: string;
  /** `undefined` when there is none. */
  readonly value: string | undefined;
  readonly isDefault: boolean;
}

/** What every variable is in an environment that {@link loadConfig} takes. */
export function settingsOf(env: Readonly<Record<string, string | undefined>>): Setting[] {
  return Object.entries<Variable<unknown>>(VARIABLES).map(([variable, { fallback, secret }]) => {
    const set = env[variable];
    if (set === undefined || set === '') return { variable, value: fallback, isDefault: true };
    const redis = variable === 'REDIS_URL' ? parseRedisUrl(set) : undefined;
    const value = redis === undefined ? (secret === true ? '(hidden)' : set) : describeRedis(redis);
    return { variable, value, isDefault: false };
  });
}

/**
 * Reads the environment into a {@link Config}. An empty variable counts as unset.
 *
 * @param env - for example `process.env`
 * @throws {@link ConfigError} naming every variable that is wrong
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: ConfigProblem[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries<Variable<unknown>>(VARIABLES)) {
    const set = env[name];
    const raw = set === undefined || set === '' ? variable.fallback : set;
    if (raw === undefined) continue;
    const result = variable.schema.safeParse(raw);
    if (result.success) values[name] = result.data;
    else {
      const takes = variable.explain?.(raw) ?? variable.takes;
      problems.push({ variable: name, got: variable.secret ? '(hidden)' : JSON.stringify(raw), takes });
    }
  }
  // The variables without a fallback may be missing.
  const v = values as Omit<Values, OptionalName> & Partial<Pick<Values, OptionalName>>;
  const named = new Set(problems.map(({ variable }) => variable));
  problems.push(...mismatches(env).filter(({ variable }) => !named.has(variable)));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze<Config>({
    host: v.HOST,
    port: v.PORT,
    adminHost: v.ADMIN_HOST,
    adminPort: v.ADMIN_PORT,
    redis: v.REDIS_URL,
    redisKeyPrefix: v.REDIS_KEY_PREFIX,
    signalChannel: v.SIGNAL_CHANNEL,
    statusChannel: v.STATUS_CHANNEL,
    welcomeMessage: v.WELCOME_MESSAGE,
    dashboard: v.DASHBOARD === 'on',
    basePath: v.BASE_PATH,
    corsOrigins: v.CORS_ORIGIN,
    transports: v.TRANSPORTS,
    compression: v.COMPRESSION,
    maxSignalBytes: v.MAX_SIGNAL_BYTES,
    journalMaxlen: v.JOURNAL_MAXLEN,
    maxBackpressure: v.MAX_BACKPRESSURE,
    limits: Object.freeze<LimitsConfig>({
      maxConnections: v.MAX_CONNECTIONS,
      maxConnectionsPerIp: v.MAX_CONNECTIONS_PER_IP,
      maxConnectsPerSecond: v.MAX_CONNECTS_PER_SECOND,
      maxConnectsPerSecondPerIp: v.MAX_CONNECTS_PER_SECOND_PER_IP,
      maxMessagesPerSecond: v.MAX_MESSAGES_PER_SECOND,
      maxBytesPerSecond: v.MAX_BYTES_PER_SECOND,
      maxMemoryPercent: v.MAX_MEMORY_PERCENT,
      memoryLimit: v.MEMORY_LIMIT,
    }),
    trustProxy: v.TRUST_PROXY,
    jwt: v.AUTH === 'jwt' ? jwtOf(v) : undefined,
    apiKeys: v.API_KEY ?? [],
    tls:
      v.TLS_CERT !== undefined && v.TLS_KEY !== undefined
        ? { certFile: v.TLS_CERT, keyFile: v.TLS_KEY, checkInterval: v.TLS_CHECK_INTERVAL }
        : undefined,
    pingInterval: v.PING_INTERVAL,
    pingTimeout: v.PING_TIMEOUT,
    connectTimeout: v.CONNECT_TIMEOUT,
    maxPayload: v.MAX_PAYLOAD,
    maxHeaderBytes: v.MAX_HEADER_BYTES,
    drainDelay: v.DRAIN_DELAY_SECONDS * 1000,
    drainDuration: v.DRAIN_SECONDS * 1000,
    logLevel: v.LOG_LEVEL,
  });
}
