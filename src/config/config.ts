import { EXIT, StartError } from '../errors.js';
import { type RedisTarget, describeRedis, parseRedisUrl } from '../redis/url.js';
import { withAccess } from './redis-access.js';
import type { Environment, Variable, VariableProblem } from './variable.js';
import {
  type Compression,
  type TransportName,
  type TrustProxy,
  VARIABLES,
  type VariableValues,
  mismatches,
} from './variables.js';

/** The settings of a process, checked and frozen. */
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
  /** Redis streams that producers add to; `undefined` reads none. */
  readonly signalStream: string | undefined;
  readonly statusStream: string | undefined;
  readonly welcomeMessage: string;
  /** Whether the public port serves the dashboard at `/`. */
  readonly dashboard: boolean;
  /** What every path of the public port begins with, such as `/feed`; empty for none. */
  readonly basePath: string;
  /** Origins of allowed pages, as browsers send them; `*` alone allows every origin. */
  readonly corsOrigins: readonly string[];
  readonly transports: readonly TransportName[];
  /** How WebSocket messages are compressed (permessage-deflate): not, with one compressor for all, or one for each client. */
  readonly compression: Compression;
  /** Longest message that a producer may publish. */
  readonly maxSignalBytes: number;
  /** Entries kept for recovery. */
  readonly journalMaxEntries: number;
  /** Replicas that must have what is published over HTTP before it is confirmed; 0 waits for none. */
  readonly journalMinReplicas: number;
  /** What may wait for one client before it is disconnected. */
  readonly maxBackpressureBytes: number;
  readonly limits: LimitsConfig;
  /** `undefined`: the address of a client is that of its connection. */
  readonly trustProxy: TrustProxy | undefined;
  /** `undefined`: clients need no token. */
  readonly jwt: JwtConfig | undefined;
  /** Keys of the publish API; when empty, only loopback callers are answered. */
  readonly apiKeys: readonly string[];
  /** Files of the certificate and the key of the public port; `undefined` is plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly checkIntervalMs: number } | undefined;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** A client that takes nothing of what it missed for so long is closed. */
  readonly slowTimeoutMs: number;
  /** Longest head of a request: its request line and all headers together. */
  readonly maxHeaderBytes: number;
  /** Longest message that a client may send. */
  readonly maxPayloadBytes: number;
  /** After SIGTERM: how long the pod still takes clients, while load balancers notice that it is not ready. */
  readonly drainDelayMs: number;
  /** After SIGTERM: the time over which the clients are disconnected. */
  readonly drainDurationMs: number;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
}

/** How tokens of clients are checked: with a secret, or with the public keys at a fixed address. */
export interface JwtConfig {
  readonly key: { readonly secret: string } | { readonly jwksUrl: URL };
  /** Unset: any issuer. */
  readonly issuer: string | undefined;
  /** Unset: any audience. */
  readonly audience: string | undefined;
}

/** How much clients may do; 0 means no limit. */
export interface LimitsConfig {
  /** Clients of this process. */
  readonly maxConnections: number;
  /** Clients of one address (for IPv6, of a network of 64 bits). */
  readonly maxConnectionsPerIp: number;
  /** New clients a second: of all addresses together, and of each. */
  readonly maxConnectsPerSecond: number;
  readonly maxConnectsPerSecondPerIp: number;
  /** Messages and bytes that one client may send in a second, on average. */
  readonly maxMessagesPerSecond: number;
  readonly maxBytesPerSecond: number;
  /** Percent of the memory limit above which no new clients are taken. */
  readonly maxMemoryPercent: number;
  /** `undefined` is the limit of the container, or the memory of the machine. */
  readonly memoryLimitBytes: number | undefined;
}

/** Thrown by {@link loadConfig} with every problem at once; exit code 2. */
export class ConfigError extends StartError {
  readonly problems: readonly VariableProblem[];

  constructor(problems: readonly VariableProblem[]) {
    const lines = problems.map(({ variable, got, takes }) => `  ${variable}: got ${got}; takes ${takes}.`);
    super(`The configuration is wrong. Correct these variables and start again:\n${lines.join('\n')}`, EXIT.config);
    this.problems = problems;
  }
}

/** The value that a variable has, for people; secrets are hidden. */
export interface Setting {
  readonly variable: string;
  /** `undefined` when it has none. */
  readonly value: string | undefined;
  readonly isDefault: boolean;
}

/** The values of all variables in an environment that is valid for {@link loadConfig}. */
export function settingsOf(env: Environment): Setting[] {
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
export function loadConfig(env: Environment): Config {
  const problems: VariableProblem[] = [];
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
  const named = new Set(problems.map(({ variable }) => variable));
  problems.push(...mismatches(env).filter(({ variable }) => !named.has(variable)));
  if (problems.length > 0) throw new ConfigError(problems);
  return configOf(values as VariableValues);
}

function configOf(v: VariableValues): Config {
  return Object.freeze<Config>({
    host: v.HOST,
    port: v.PORT,
    adminHost: v.ADMIN_HOST,
    adminPort: v.ADMIN_PORT,
    redis: v.REDIS_URL === undefined ? undefined : withAccess(v.REDIS_URL, v),
    redisKeyPrefix: v.REDIS_KEY_PREFIX,
    signalChannel: v.SIGNAL_CHANNEL,
    statusChannel: v.STATUS_CHANNEL,
    signalStream: v.SIGNAL_STREAM,
    statusStream: v.STATUS_STREAM,
    welcomeMessage: v.WELCOME_MESSAGE,
    dashboard: v.DASHBOARD === 'on',
    basePath: v.BASE_PATH,
    corsOrigins: v.CORS_ORIGIN,
    transports: v.TRANSPORTS,
    compression: v.COMPRESSION,
    maxSignalBytes: v.MAX_SIGNAL_BYTES,
    journalMaxEntries: v.JOURNAL_MAXLEN,
    journalMinReplicas: v.JOURNAL_MIN_REPLICAS,
    maxBackpressureBytes: v.MAX_BACKPRESSURE,
    limits: Object.freeze<LimitsConfig>({
      maxConnections: v.MAX_CONNECTIONS,
      maxConnectionsPerIp: v.MAX_CONNECTIONS_PER_IP,
      maxConnectsPerSecond: v.MAX_CONNECTS_PER_SECOND,
      maxConnectsPerSecondPerIp: v.MAX_CONNECTS_PER_SECOND_PER_IP,
      maxMessagesPerSecond: v.MAX_MESSAGES_PER_SECOND,
      maxBytesPerSecond: v.MAX_BYTES_PER_SECOND,
      maxMemoryPercent: v.MAX_MEMORY_PERCENT,
      memoryLimitBytes: v.MEMORY_LIMIT,
    }),
    trustProxy: v.TRUST_PROXY,
    jwt: v.AUTH === 'jwt' ? jwtOf(v) : undefined,
    apiKeys: v.API_KEY ?? [],
    tls:
      v.TLS_CERT !== undefined && v.TLS_KEY !== undefined
        ? { certFile: v.TLS_CERT, keyFile: v.TLS_KEY, checkIntervalMs: v.TLS_CHECK_INTERVAL }
        : undefined,
    pingIntervalMs: v.PING_INTERVAL,
    pingTimeoutMs: v.PING_TIMEOUT,
    connectTimeoutMs: v.CONNECT_TIMEOUT,
    slowTimeoutMs: v.SLOW_TIMEOUT,
    maxPayloadBytes: v.MAX_PAYLOAD,
    maxHeaderBytes: v.MAX_HEADER_BYTES,
    drainDelayMs: v.DRAIN_DELAY_SECONDS * 1000,
    drainDurationMs: v.DRAIN_SECONDS * 1000,
    logLevel: v.LOG_LEVEL,
  });
}

function jwtOf(v: VariableValues): JwtConfig | undefined {
  const { JWT_SECRET: secret, JWKS_URL: jwksUrl, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = v;
  if (jwksUrl !== undefined) return { key: { jwksUrl }, issuer, audience };
  return secret === undefined ? undefined : { key: { secret }, issuer, audience };
}
