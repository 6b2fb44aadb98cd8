import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { EXIT, StartError } from './errors.js';
import { REDIS_URL_TAKES, type RedisTarget, parseRedisUrl } from './redis/url.js';

/** The transports a client may use. */
export type TransportName = 'websocket' | 'polling';

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
  /** Origins that browsers may come from; `*` alone allows every one. */
  readonly corsOrigins: readonly string[];
  readonly transports: readonly TransportName[];
  /** Longest message taken from a producer, in bytes. */
  readonly maxSignalBytes: number;
  /** Entries kept for recovery. */
  readonly journalMaxlen: number;
  /** Bytes buffered for one client before it is cut. */
  readonly maxBackpressure: number;
  /** Clients taken by this process; 0 is no limit. */
  readonly maxConnections: number;
  /** Keys of the publish API; empty answers loopback callers only. */
  readonly apiKeys: readonly string[];
  /** Files of the certificate and the key of the public port; `undefined` is plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly connectTimeout: number;
  /** Bytes one client may send in one message. */
  readonly maxPayload: number;
  /** SIGTERM: how long clients are still taken while load balancers notice that this pod is going. */
  readonly drainDelay: number;
  /** SIGTERM: the time over which the clients are let go. */
  readonly drainDuration: number;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
}

interface Variable<T> {
  readonly schema: z.ZodType<T, string>;
  /** Used when the variable is unset or empty; `undefined` leaves the setting unset. */
  readonly fallback: string | undefined;
  /** What it takes, for the error. */
  readonly takes: string;
  /** A secret's value is never printed. */
  readonly secret?: true;
}

function wholeNumber(min: number, max: number, fallback: number, unit = ''): Variable<number> {
  return {
    schema: z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number)
      .refine((value) => value >= min && value <= max),
    fallback: String(fallback),
    takes: `a whole number${unit === '' ? '' : ` of ${unit}`} from ${min} to ${max}`,
  };
}

function text(fallback: string, takes: string, shape = /^.+$/s): Variable<string> {
  return { schema: z.string().regex(shape), fallback, takes };
}

function commaList(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** A setting of a later version: naming its default is fine, anything else is refused rather than silently not done. */
function notYet(only: string): Variable<string> {
  return {
    schema: z.string().refine((value) => value === only),
    fallback: only,
    takes: `only ${only} in this version`,
  };
}

function file(): Variable<string> {
  return {
    schema: z.string().refine((path) => {
      try {
        return readFileSync(path).length > 0;
      } catch {
        return false;
      }
    }),
    fallback: undefined,
    takes: 'the path of a PEM file that can be read',
  };
}

const origin = /^(\*|https?:\/\/[^\s/,*]+)$/;
const ONE_MEBIBYTE = 1024 * 1024;

const VARIABLES = {
  PORT: wholeNumber(0, 65_535, 3000),
  HOST: text('0.0.0.0', 'an address to listen on', /^\S+$/),
  ADMIN_PORT: wholeNumber(0, 65_535, 3001),
  ADMIN_HOST: text('127.0.0.1', 'an address to listen on', /^\S+$/),
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
  CORS_ORIGIN: {
    schema: z
      .string()
      .transform(commaList)
      .refine(
        (list) =>
          list.length > 0 && list.every((item) => origin.test(item)) && (list.length === 1 || !list.includes('*')),
      ),
    fallback: '*',
    takes: '* or a comma-separated list of origins such as https://app.example.com',
  } as Variable<string[]>,
  TRANSPORTS: {
    schema: z
      .string()
      .transform(commaList)
      .pipe(z.array(z.enum(['websocket', 'polling'])).min(1)),
    fallback: 'websocket,polling',
    takes: 'websocket, polling or both, comma-separated',
  } as Variable<TransportName[]>,
  // 16,000 and not 16,384: uWebSockets.js batches only what stays below 16 KiB with its framing.
  MAX_SIGNAL_BYTES: wholeNumber(64, ONE_MEBIBYTE, 16_000, 'bytes'),
  JOURNAL_MAXLEN: wholeNumber(1, 100_000_000, 100_000, 'entries'),
  MAX_BACKPRESSURE: wholeNumber(1024, 1024 * ONE_MEBIBYTE, ONE_MEBIBYTE, 'bytes'),
  MAX_CONNECTIONS: wholeNumber(0, 100_000_000, 0),
  MAX_CONNECTIONS_PER_IP: notYet('0'),
  API_KEY: {
    schema: z
      .string()
      .transform(commaList)
      .refine((keys) => keys.length > 0 && keys.every((key) => /^[\x21-\x7e]+$/.test(key))),
    fallback: undefined,
    takes: 'one or more keys, comma-separated, each of visible ASCII characters',
    secret: true,
  } as Variable<string[]>,
  AUTH: notYet('none'),
  TLS_CERT: file(),
  TLS_KEY: file(),
  PING_INTERVAL: wholeNumber(100, 3_600_000, 25_000, 'milliseconds'),
  PING_TIMEOUT: wholeNumber(100, 3_600_000, 20_000, 'milliseconds'),
  CONNECT_TIMEOUT: wholeNumber(100, 3_600_000, 45_000, 'milliseconds'),
  MAX_PAYLOAD: wholeNumber(256, 64 * ONE_MEBIBYTE, 16_384, 'bytes'),
  DRAIN_DELAY_SECONDS: wholeNumber(0, 3600, 5, 'seconds'),
  DRAIN_SECONDS: wholeNumber(0, 3600, 20, 'seconds'),
  LOG_LEVEL: {
    schema: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    fallback: 'info',
    takes: 'fatal, error, warn, info, debug, trace or silent',
  } as Variable<Config['logLevel']>,
} satisfies Record<string, Variable<unknown>>;

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
    else
      problems.push({ variable: name, got: variable.secret ? '(hidden)' : JSON.stringify(raw), takes: variable.takes });
  }
  for (const name of ['JWT_SECRET', 'JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE', 'TRUST_PROXY']) {
    const set = env[name];
    // Whoever sets one of these expects protection that this version does not give.
    if (set !== undefined && set !== '')
      problems.push({ variable: name, got: '(hidden)', takes: 'nothing in this version' });
  }
  const { TLS_CERT, TLS_KEY, ...v } = values as Omit<Values, 'TLS_CERT' | 'TLS_KEY'> & {
    TLS_CERT?: string;
    TLS_KEY?: string;
  };
  for (const [one, other] of [['TLS_CERT', 'TLS_KEY'] as const, ['TLS_KEY', 'TLS_CERT'] as const]) {
    if (env[one] && !env[other])
      problems.push({ variable: other, got: 'nothing', takes: `a file, since ${one} is set` });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze<Config>({
    host: v.HOST,
    port: v.PORT,
    adminHost: v.ADMIN_HOST,
    adminPort: v.ADMIN_PORT,
    redis: (v as Partial<Values>).REDIS_URL,
    redisKeyPrefix: v.REDIS_KEY_PREFIX,
    signalChannel: v.SIGNAL_CHANNEL,
    statusChannel: v.STATUS_CHANNEL,
    welcomeMessage: v.WELCOME_MESSAGE,
    corsOrigins: v.CORS_ORIGIN,
    transports: v.TRANSPORTS,
    maxSignalBytes: v.MAX_SIGNAL_BYTES,
    journalMaxlen: v.JOURNAL_MAXLEN,
    maxBackpressure: v.MAX_BACKPRESSURE,
    maxConnections: v.MAX_CONNECTIONS,
    apiKeys: (v as Partial<Values>).API_KEY ?? [],
    tls: TLS_CERT !== undefined && TLS_KEY !== undefined ? { certFile: TLS_CERT, keyFile: TLS_KEY } : undefined,
    pingInterval: v.PING_INTERVAL,
    pingTimeout: v.PING_TIMEOUT,
    connectTimeout: v.CONNECT_TIMEOUT,
    maxPayload: v.MAX_PAYLOAD,
    drainDelay: v.DRAIN_DELAY_SECONDS * 1000,
    drainDuration: v.DRAIN_SECONDS * 1000,
    logLevel: v.LOG_LEVEL,
  });
}
