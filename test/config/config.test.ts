import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Config, ConfigError, loadConfig } from '../../src/config/config.js';
import { MAIN } from '../support/pod.js';
import { Child, Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Env = Record<string, string>;

/** The error that an environment gives. */
function errorOf(env: Env): ConfigError {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(env)} was taken`);
}

/** The names of the variables that an environment has wrong. */
function wrong(env: Env): string[] {
  return errorOf(env).problems.map(({ variable }) => variable);
}

const DEFAULTS: Config = {
  host: '0.0.0.0',
  port: 3000,
  adminHost: '127.0.0.1',
  adminPort: 3001,
  redis: undefined,
  redisKeyPrefix: 'gateway',
  signalChannel: 'new_signal',
  statusChannel: 'status_update',
  signalStream: undefined,
  statusStream: undefined,
  welcomeMessage: 'Successfully connected to Quantum Trader Pro real-time feed.',
  dashboard: true,
  basePath: '',
  corsOrigins: ['*'],
  transports: ['websocket', 'polling'],
  compression: 'off',
  maxSignalBytes: 16_000,
  journalMaxEntries: 100_000,
  journalMinReplicas: 0,
  maxBackpressureBytes: 1_048_576,
  limits: {
    maxConnections: 0,
    maxConnectionsPerIp: 0,
    maxConnectsPerSecond: 0,
    maxConnectsPerSecondPerIp: 0,
    maxMessagesPerSecond: 100,
    maxBytesPerSecond: 262_144,
    maxMemoryPercent: 90,
    memoryLimitBytes: undefined,
  },
  trustProxy: undefined,
  jwt: undefined,
  apiKeys: [],
  tls: undefined,
  pingIntervalMs: 25_000,
  pingTimeoutMs: 20_000,
  connectTimeoutMs: 45_000,
  slowTimeoutMs: 60_000,
  maxPayloadBytes: 1_048_576,
  maxHeaderBytes: 20_480,
  drainDelayMs: 5000,
  drainDurationMs: 20_000,
  logLevel: 'info',
};

const GOOD: [string, string, Partial<Config>][] = [
  ['PORT', '0', { port: 0 }],
  ['PORT', '65535', { port: 65_535 }],
  ['HOST', '::1', { host: '::1' }],
  ['ADMIN_PORT', '9000', { adminPort: 9000 }],
  ['ADMIN_HOST', '127.0.0.2', { adminHost: '127.0.0.2' }],
  ['REDIS_KEY_PREFIX', 'my.app:feed-1_x', { redisKeyPrefix: 'my.app:feed-1_x' }],
  ['SIGNAL_CHANNEL', 'signals of today', { signalChannel: 'signals of today' }],
  ['STATUS_CHANNEL', 's', { statusChannel: 's' }],
  ['WELCOME_MESSAGE', 'Grüße\n"you"', { welcomeMessage: 'Grüße\n"you"' }],
  [
    'CORS_ORIGIN',
    'https://a.example, http://localhost:8080',
    { corsOrigins: ['https://a.example', 'http://localhost:8080'] },
  ],
  ['TRANSPORTS', 'polling', { transports: ['polling'] }],
  ['TRANSPORTS', ' websocket , polling ', { transports: ['websocket', 'polling'] }],
  ['DASHBOARD', 'off', { dashboard: false }],
  ['BASE_PATH', '/', { basePath: '' }],
  ['HOST', '[::1]', { host: '::1' }],
  ['BASE_PATH', '/feed', { basePath: '/feed' }],
  ['BASE_PATH', '/a/b-c_d.e~f/', { basePath: '/a/b-c_d.e~f' }],
  ['MAX_SIGNAL_BYTES', '64', { maxSignalBytes: 64 }],
  ['JOURNAL_MAXLEN', '1', { journalMaxEntries: 1 }],
  ['MAX_BACKPRESSURE', '1024', { maxBackpressureBytes: 1024 }],
  ['CORS_ORIGIN', 'https://*.example.com', { corsOrigins: ['https://*.example.com'] }],
  ['CORS_ORIGIN', 'https://app.example.com/', { corsOrigins: ['https://app.example.com'] }],
  ['MAX_CONNECTIONS', '20000', { limits: { ...DEFAULTS.limits, maxConnections: 20_000 } }],
  ['MAX_CONNECTIONS_PER_IP', '5', { limits: { ...DEFAULTS.limits, maxConnectionsPerIp: 5 } }],
  ['MAX_CONNECTS_PER_SECOND', '500', { limits: { ...DEFAULTS.limits, maxConnectsPerSecond: 500 } }],
  ['MAX_CONNECTS_PER_SECOND_PER_IP', '9', { limits: { ...DEFAULTS.limits, maxConnectsPerSecondPerIp: 9 } }],
  ['MAX_MESSAGES_PER_SECOND', '0', { limits: { ...DEFAULTS.limits, maxMessagesPerSecond: 0 } }],
  ['MAX_BYTES_PER_SECOND', '1', { limits: { ...DEFAULTS.limits, maxBytesPerSecond: 1 } }],
  ['MAX_MEMORY_PERCENT', '0', { limits: { ...DEFAULTS.limits, maxMemoryPercent: 0 } }],
  ['MEMORY_LIMIT', '1048576', { limits: { ...DEFAULTS.limits, memoryLimitBytes: 1_048_576 } }],
  ['TRUST_PROXY', '2', { trustProxy: 2 }],
  ['TRUST_PROXY', '10.0.0.0/8, fd00::/8,192.0.2.1', { trustProxy: ['10.0.0.0/8', 'fd00::/8', '192.0.2.1'] }],
  ['TRUST_PROXY', 'loopback', { trustProxy: ['loopback'] }],
  ['API_KEY', 'one, two,', { apiKeys: ['one', 'two'] }],
  ['PING_INTERVAL', '100', { pingIntervalMs: 100 }],
  ['PING_TIMEOUT', '3600000', { pingTimeoutMs: 3_600_000 }],
  ['CONNECT_TIMEOUT', '1000', { connectTimeoutMs: 1000 }],
  ['SLOW_TIMEOUT', '5000', { slowTimeoutMs: 5000 }],
  ['MAX_PAYLOAD', '256', { maxPayloadBytes: 256 }],
  ['MAX_HEADER_BYTES', '4096', { maxHeaderBytes: 4096 }],
  ['MAX_HEADER_BYTES', '131072', { maxHeaderBytes: 131_072 }],
  ['LOG_LEVEL', 'silent', { logLevel: 'silent' }],
];

const NUMBERS = [
  ['PORT', '65536'],
  ['ADMIN_PORT', '65536'],
  ['MAX_SIGNAL_BYTES', '63'],
  ['MAX_SIGNAL_BYTES', '1048577'],
  ['JOURNAL_MAXLEN', '0'],
  ['JOURNAL_MAXLEN', '100000001'],
  ['MAX_BACKPRESSURE', '1023'],
  ['MAX_BACKPRESSURE', '1073741825'],
  ['MAX_CONNECTIONS', '100000001'],
  ['PING_INTERVAL', '99'],
  ['PING_TIMEOUT', '3600001'],
  ['CONNECT_TIMEOUT', '99'],
  ['SLOW_TIMEOUT', '999'],
  ['MAX_PAYLOAD', '255'],
  ['MAX_HEADER_BYTES', '4095'],
  ['MAX_HEADER_BYTES', '131073'],
  ['MAX_PAYLOAD', '67108865'],
  ['DRAIN_SECONDS', '3601'],
  ['MAX_CONNECTIONS_PER_IP', '100000001'],
  ['MAX_CONNECTS_PER_SECOND', '1000001'],
  ['MAX_MEMORY_PERCENT', '101'],
  ['MEMORY_LIMIT', '1048575'],
  ['TLS_CHECK_INTERVAL', '99'],
] as const;

const NO_NUMBERS = ['-1', '1.5', '1e3', '0x10', ' 1', '1 ', '1_000', 'many', 'NaN', '9'.repeat(20), '٣'];

const BAD: readonly (readonly [string, string])[] = [
  ...NUMBERS,
  ...[...new Set(NUMBERS.map(([name]) => name))].flatMap((name) => NO_NUMBERS.map((value) => [name, value] as const)),
  ...['feed', '//', '/feed//', '/a/../b', '/./x', '/fé', '/a b', '/a?b', '/%41', '/a#b', 'http://x/'].map(
    (value) => ['BASE_PATH', value] as const,
  ),
  ['HOST', ' '],
  ['HOST', 'two words'],
  ['ADMIN_HOST', 'a\nb'],
  ['REDIS_URL', 'localhost:6379'],
  ['REDIS_URL', 'http://localhost'],
  ['REDIS_URL', 'redis://h1,h2'],
  ['REDIS_URL', 'redis-sentinel://h1'],
  ['REDIS_URL', 'redis-cluster://h1/1'],
  ['REDIS_KEY_PREFIX', 'a b'],
  ['REDIS_KEY_PREFIX', '{a}'],
  ['REDIS_KEY_PREFIX', 'a'.repeat(101)],
  ['CORS_ORIGIN', 'app.example.com'],
  ['CORS_ORIGIN', 'https://*example.com'],
  ['CORS_ORIGIN', 'https://app.*.com'],
  ['CORS_ORIGIN', 'https://*'],
  ['CORS_ORIGIN', '*,https://app.example.com'],
  ['CORS_ORIGIN', ','],
  ['TRANSPORTS', 'webtransport'],
  ['TRANSPORTS', 'WebSocket'],
  ['TRANSPORTS', ','],
  ['API_KEY', ','],
  ['API_KEY', 'two words'],
  ['API_KEY', 'schlüssel'],
  ['LOG_LEVEL', 'verbose'],
  ['LOG_LEVEL', 'INFO'],
  ['AUTH', 'oauth'],
  ['JWT_SECRET', 'x'],
  ['JWKS_URL', 'https://id.example/jwks'],
  ['JWT_ISSUER', 'x'],
  ['JWT_AUDIENCE', 'x'],
  ['JWT_SECRET', 'x'.repeat(32)],
  ['JWKS_URL', 'http://id.example/jwks'],
  ['TRUST_PROXY', '0'],
  ['TRUST_PROXY', 'everybody'],
  ['TRUST_PROXY', '10.0.0.0/33'],
  ['TRUST_PROXY', ','],
];

describe('loadConfig', () => {
  test('gives the documented defaults for an empty environment, frozen', () => {
    const config = loadConfig({});
    expect(config).toEqual(DEFAULTS);
    expect(Object.isFrozen(config)).toBe(true);
  });

  test.each(GOOD)('takes %s=%j and changes nothing else', (name, value, changed) => {
    expect(loadConfig({ [name]: value })).toEqual({ ...loadConfig({}), ...changed });
  });

  test.each([...new Set([...GOOD, ...BAD].map(([name]) => name)), 'TLS_CERT', 'TLS_KEY'])(
    'counts an empty %s as unset',
    (name) => {
      expect(loadConfig({ [name]: '' })).toEqual(loadConfig({}));
    },
  );

  test.each(BAD)('refuses %s=%j and nothing else', (name, value) => {
    expect(wrong({ [name]: value })).toEqual([name]);
  });

  test('reads where Redis is', () => {
    expect(loadConfig({ REDIS_URL: 'redis://me:pw@[::1]:6380/2' }).redis).toEqual({
      kind: 'single',
      node: { host: '::1', port: 6380 },
      db: 2,
      tls: false,
      username: 'me',
      password: 'pw',
    });
    expect(loadConfig({ REDIS_URL: 'redis-sentinel://a,b/main' }).redis?.kind).toBe('sentinel');
    expect(loadConfig({ REDIS_URL: 'redis-cluster://a,b' }).redis?.kind).toBe('cluster');
  });

  test('takes what tokens are checked with, and only one of a secret and an address', () => {
    const secret = 's'.repeat(32);
    const jwksUrl = 'https://id.example/.well-known/jwks.json';
    const good = { AUTH: 'jwt', JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'feed' };
    const named = { issuer: 'https://id.example', audience: 'feed' };
    expect(loadConfig({ ...good, JWT_SECRET: secret }).jwt).toEqual({ key: { secret }, ...named });
    expect(loadConfig({ AUTH: 'jwt', JWT_SECRET: secret }).jwt?.key).toEqual({ secret });
    expect(loadConfig({ ...good, JWKS_URL: jwksUrl }).jwt).toEqual({ key: { jwksUrl: new URL(jwksUrl) }, ...named });
    for (const host of ['localhost:8080', '127.0.0.1', '[::1]:1']) {
      expect(loadConfig({ ...good, JWKS_URL: `http://${host}/` }).jwt?.key).toEqual({
        jwksUrl: new URL(`http://${host}/`),
      });
    }
    expect(wrong({ AUTH: 'jwt' })).toEqual(['JWT_SECRET']);
    expect(wrong({ ...good, JWT_SECRET: secret, JWKS_URL: jwksUrl })).toEqual(['JWT_SECRET']);
    expect(wrong({ AUTH: 'jwt', JWKS_URL: jwksUrl })).toEqual(['JWT_AUDIENCE']);
    expect(wrong({ ...good, JWT_SECRET: 's'.repeat(31) })).toEqual(['JWT_SECRET']);
    for (const url of [
      'id.example',
      'http://id.example/',
      'http://localhost.evil/',
      'https://u:p@id.example/',
      'file:///k',
    ]) {
      expect(wrong({ ...good, JWKS_URL: url })).toEqual(['JWKS_URL']);
    }
  });

  test('names of source streams need Redis, differ, and are not those of its own keys', () => {
    const redis = { REDIS_URL: 'redis://127.0.0.1' };
    const set = loadConfig({ ...redis, SIGNAL_STREAM: 'signals', STATUS_STREAM: 'statuses' });
    expect([set.signalStream, set.statusStream]).toEqual(['signals', 'statuses']);
    expect(wrong({ SIGNAL_STREAM: 'signals' })).toEqual(['SIGNAL_STREAM']);
    expect(errorOf({ SIGNAL_STREAM: 'signals' }).message).toContain('REDIS_URL is not set');
    expect(wrong({ ...redis, SIGNAL_STREAM: 'one', STATUS_STREAM: 'one' })).toEqual(['STATUS_STREAM']);
    expect(wrong({ ...redis, SIGNAL_STREAM: '{gateway}:journal' })).toEqual(['SIGNAL_STREAM']);
    expect(wrong({ ...redis, REDIS_KEY_PREFIX: 'x', STATUS_STREAM: '{x}:mine' })).toEqual(['STATUS_STREAM']);
    expect(loadConfig({ ...redis, REDIS_KEY_PREFIX: 'x', STATUS_STREAM: '{gateway}:mine' }).statusStream).toBe(
      '{gateway}:mine',
    );
  });

  test('takes a certificate and its key together, as files that can be read', () => {
    const dir = cleanup.add(mkdtempSync(join(tmpdir(), 'signal-gateway-config-')), (path) =>
      rmSync(path, { recursive: true }),
    );
    const file = join(dir, 'some.pem');
    const empty = join(dir, 'empty.pem');
    writeFileSync(file, 'something');
    writeFileSync(empty, '');
    expect(loadConfig({ TLS_CERT: file, TLS_KEY: file }).tls).toEqual({
      certFile: file,
      keyFile: file,
      checkIntervalMs: 10_000,
    });
    expect(wrong({ TLS_CERT: file })).toEqual(['TLS_KEY']);
    expect(wrong({ TLS_KEY: file })).toEqual(['TLS_CERT']);
    expect(wrong({ TLS_CERT: join(dir, 'missing.pem'), TLS_KEY: file })).toEqual(['TLS_CERT']);
    expect(wrong({ TLS_CERT: file, TLS_KEY: empty })).toEqual(['TLS_KEY']);
    expect(wrong({ TLS_CERT: dir, TLS_KEY: file })).toEqual(['TLS_CERT']);
  });

  test('names every wrong variable at once, with the value it got and what it takes', () => {
    const env = Object.fromEntries(BAD);
    const error = errorOf(env);
    expect(error.problems.map(({ variable }) => variable).toSorted()).toEqual(Object.keys(env).toSorted());
    expect(error.exitCode).toBe(2);
    for (const { variable, got, takes } of error.problems) {
      expect(takes).not.toBe('');
      expect(error.message).toContain(`  ${variable}: got ${got}; takes ${takes}.`);
    }
    expect(error.message).toContain('  LOG_LEVEL: got "INFO"; takes fatal, error, warn, info, debug, trace or silent.');
    expect(error.message.split('\n')).toHaveLength(error.problems.length + 1);
  });

  test('never shows a secret', () => {
    const secret = 'hunter2';
    const { message, problems } = errorOf({
      REDIS_URL: `redis://me:${secret}@host:port`,
      API_KEY: `good,${secret} ${secret}`,
      JWT_SECRET: secret,
      PORT: 'x',
    });
    expect(problems).toHaveLength(4);
    expect(`${message}${JSON.stringify(problems)}`).not.toContain(secret);
  });
});

test('a wrong environment ends the start with exit code 2 and names every wrong variable on standard error', async () => {
  const env = { ...Object.fromEntries(BAD), REDIS_URL: 'redis://:hunter2@', API_KEY: 'hunter2 hunter2' };
  const child = cleanup.add(new Child(process.execPath, [MAIN], env), (self) => self.kill());
  expect(await child.exit).toBe(2);
  const lines = child.stderr.trimEnd().split('\n').slice(1);
  const named = lines.map((line) => /^ {2}([A-Z_]+): got .+; takes .+\.$/.exec(line)?.[1] ?? line);
  expect(named.toSorted()).toEqual(Object.keys(env).toSorted());
  expect(child.stderr).not.toContain('hunter2');
  expect(child.stdout).toBe('');
});
