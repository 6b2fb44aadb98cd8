import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Certificate } from '../support/certificate.js';
import { FeedClient } from '../support/pod.js';
import { Cleanup, HOST, serverPort } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';
import { blocks, read } from './markdown.js';
import { ShellCommand, checkOut } from './shell.js';

const BLOCKS = blocks(read('README.md'));
/** The README's command lines, as written, less the comments behind them. */
const COMMANDS = BLOCKS.filter(({ language }) => language === 'sh').flatMap(({ code }) =>
  code
    .split('\n')
    .map((line) => line.replace(/\s{2,}#.*$/, '').trim())
    .filter((line) => line !== ''),
);

/** A cold build comes before the gateway listens. */
const START_LIMIT_MS = 120_000;
const TIMEOUT = 240_000;

const whole = new Cleanup();
const cleanup = new Cleanup();
let checkout = '';
beforeAll(() => {
  checkout = checkOut(whole);
});
afterEach(() => cleanup.run());
afterAll(() => whole.run());

/** Puts values of this machine in the place of those that the README makes up; each of them has to be there. */
function substituted(line: string, table: Readonly<Record<string, string>>): string {
  return Object.entries(table).reduce((text, [from, to]) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  }, line);
}

/** Free ports in the place of 3000 and 3001, and no load balancer to wait for. */
const PORTS = { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0', DRAIN_DELAY_SECONDS: '0', DRAIN_SECONDS: '0' };

interface Gateway {
  readonly command: ShellCommand;
  readonly port: number;
  readonly adminPort: number;
}

let built: Promise<void> | undefined;

/** `npm start` builds first, each time: for a line of which something else is to be seen, once before is enough. */
const WITHOUT_BUILD = { npm_config_ignore_scripts: 'true' };

/** Builds the checkout, once, unless `npm start` has done it by itself. */
async function build(): Promise<void> {
  built ??= (async () => {
    const command = new ShellCommand(cleanup, 'npm run build', checkout, {});
    expect([await command.end(START_LIMIT_MS), command.toJSON()]).toEqual([0, expect.anything()]);
  })();
  await built;
}

/** Runs a command that starts a gateway, and waits until it serves and is ready. */
async function gateway(line: string, env: Readonly<Record<string, string>> = {}): Promise<Gateway> {
  const command = new ShellCommand(cleanup, line, checkout, { ...PORTS, ...env });
  const options = { seen: () => command, limit: START_LIMIT_MS };
  const serving = await until(
    'the gateway to serve',
    () => {
      if (command.ended !== undefined) throw new Error(`"${line}" ended with ${command.ended}: ${command.stderr}`);
      const lines = command.stdout.split('\n').filter((one) => one.includes('"msg":"serving"') && one.endsWith('}'));
      return lines[0] !== undefined && (JSON.parse(lines[0]) as { port: number; adminPort: number });
    },
    options,
  );
  const readyz = `http://${HOST}:${serving.adminPort}/readyz`;
  await until('the gateway to be ready', async () => (await fetch(readyz)).status === 200, options);
  return { command, ...serving };
}

/** A gateway for a command that needs one. */
async function anyGateway(env: Readonly<Record<string, string>> = {}): Promise<Gateway> {
  await build();
  return gateway('node dist/main.js', env);
}

function client({ port }: Gateway): Promise<FeedClient> {
  return FeedClient.connect(cleanup, `http://${HOST}:${port}`);
}

/** Waits until a client has a signal with these fields. */
async function arrives(feed: FeedClient, fields: Readonly<Record<string, unknown>>): Promise<void> {
  const wanted = Object.entries(fields);
  await until(
    'the signal at the client',
    () => feed.signals.some(([got]) => wanted.every(([key, value]) => (got as Record<string, unknown>)[key] === value)),
    { seen: () => feed, limit: 30_000 },
  );
}

async function post({ adminPort }: Gateway, path: string, body: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`http://${HOST}:${adminPort}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(202);
}

/** Starts a gateway with a Redis of some kind, and sees a signal through it. */
async function worksWithRedis(line: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  await build();
  const started = await gateway(line, { ...WITHOUT_BUILD, ...env });
  const feed = await client(started);
  await post(started, '/v1/signals', signal(7));
  await arrives(feed, { price: 7 });
  feed.socket.disconnect();
  await started.command.interrupt();
}

/** What a folder of its own for global packages adds to the environment, so that `npm link` changes nothing of this machine. */
function linkedEnv(): Record<string, string> {
  const prefix = join(checkout, 'global');
  mkdirSync(prefix, { recursive: true });
  // It only makes links, so it needs no registry.
  return {
    npm_config_prefix: prefix,
    npm_config_offline: 'true',
    PATH: `${join(prefix, 'bin')}:${process.env['PATH']}`,
  };
}

let linked: Promise<void> | undefined;

/** Links, once. */
async function link(line = 'npm link'): Promise<void> {
  linked ??= (async () => {
    await build();
    const command = new ShellCommand(cleanup, line, checkout, linkedEnv());
    expect([await command.end(START_LIMIT_MS), command.stderr]).toEqual([0, expect.anything()]);
  })();
  await linked;
}

const REDIS_LINE = 'REDIS_URL=redis://localhost:6379 npm start';
const TLS_LINE = 'REDIS_URL=rediss://user:password@redis.example.com:6380 npm start';
const SENTINEL_LINE = 'REDIS_URL=redis-sentinel://s1:26379,s2:26379,s3:26379/mymaster npm start';
const CLUSTER_LINE = 'REDIS_URL=redis-cluster://n1:6379,n2:6379,n3:6379 npm start';
/** The seed's signal, which the README publishes with curl and redis-cli. */
const SEED = JSON.stringify({ ...signal(162.5), signal: 'BUY' });

/** How each command is run and what has to come of it. */
const EFFECTS: Readonly<Record<string, (line: string) => Promise<void>>> = {
  // `npm ci` would take the packages away that this test runs with: `.ci/run` begins with it, which a test holds.
  'npm ci && npm start': async (line) => {
    const started = await gateway(substituted(line, { 'npm ci && ': '' }));
    built ??= Promise.resolve();
    const feed = await client(started);
    expect(feed.welcomes[0]?.[0]).toEqual({
      message: 'Successfully connected to Quantum Trader Pro real-time feed.',
    });
    feed.socket.disconnect();
    await started.command.interrupt();
  },

  // The same; and all tests would run this one again, so it is told to run those of one file.
  'npm ci && npm test': async (line) => {
    const one = substituted(line, { 'npm ci && ': '', 'npm test': 'npm test -- test/contract/offset.test.ts' });
    const command = new ShellCommand(cleanup, one, checkout, {});
    expect([await command.end(START_LIMIT_MS), command.toJSON()]).toEqual([0, expect.anything()]);
    expect(command.stdout).toMatch(/Tests .*\bpassed/);
  },

  'npm start -- --demo': async (line) => {
    await build();
    const started = await gateway(line, WITHOUT_BUILD);
    const feed = await client(started);
    await until(
      'signals of several symbols',
      () => new Set(feed.signals.map(([got]) => (got as { symbol: string }).symbol)).size > 3,
      { seen: () => feed, limit: 60_000 },
    );
  },

  'node dist/cli.js tail': async (line) => {
    const started = await anyGateway();
    const command = new ShellCommand(cleanup, line, checkout, { GATEWAY_URL: `http://${HOST}:${started.port}` });
    await until(
      'the signal in the output',
      async () => {
        await post(started, '/v1/signals', signal(1));
        return command.stdout.includes('BTC/USDT');
      },
      { seen: () => command, limit: 60_000 },
    );
    await command.interrupt();
  },

  [`curl -s http://localhost:3001/v1/signals -H 'content-type: application/json' -d '${SEED}'`]: async (line) => {
    const started = await anyGateway();
    const feed = await client(started);
    // curl takes the port from its configuration, and the command stays as it is.
    writeFileSync(join(checkout, '.curlrc'), `connect-to = "localhost:3001:${HOST}:${started.adminPort}"\n`);
    const command = new ShellCommand(cleanup, line, checkout, { CURL_HOME: checkout });
    expect([await command.end(), command.stderr]).toEqual([0, '']);
    expect(JSON.parse(command.stdout)).toEqual({ offsets: [expect.stringMatching(/:1$/)] });
    await arrives(feed, JSON.parse(SEED) as Record<string, unknown>);
  },

  [`redis-cli XADD signals '*' json '${SEED}'`]: async (line) => {
    const redis = await RedisServer.start(cleanup);
    const feed = await client(await anyGateway({ REDIS_URL: redis.url, SIGNAL_STREAM: 'signals' }));
    const command = new ShellCommand(
      cleanup,
      substituted(line, { 'redis-cli': `redis-cli -h ${HOST} -p ${redis.port}` }),
      checkout,
      {},
    );
    expect([await command.end(), command.stdout.trim()]).toEqual([0, expect.stringMatching(/^\d+-\d+$/)]);
    await arrives(feed, JSON.parse(SEED) as Record<string, unknown>);
  },

  [`redis-cli PUBLISH new_signal '${SEED}'`]: async (line) => {
    const redis = await RedisServer.start(cleanup);
    const feed = await client(await anyGateway({ REDIS_URL: redis.url }));
    const command = new ShellCommand(
      cleanup,
      substituted(line, { 'redis-cli': `redis-cli -h ${HOST} -p ${redis.port}` }),
      checkout,
      {},
    );
    expect([await command.end(), command.stdout.trim()]).toEqual([0, '1']);
    await arrives(feed, JSON.parse(SEED) as Record<string, unknown>);
  },

  'npm link': link,

  'signal-gateway check': async (line) => {
    await link();
    const command = new ShellCommand(cleanup, line, checkout, { ...linkedEnv(), ...PORTS });
    expect([await command.end(), command.stderr]).toEqual([0, '']);
    expect(command.stdout).toContain('WELCOME_MESSAGE');
  },

  'signal-gateway publish --symbol BTC/USDT --signal BUY --price 162.5': async (line) => {
    await link();
    const started = await anyGateway();
    const feed = await client(started);
    const env = { ...linkedEnv(), ADMIN_URL: `http://${HOST}:${started.adminPort}` };
    const command = new ShellCommand(cleanup, line, checkout, env);
    expect([await command.end(), command.toJSON()]).toEqual([0, expect.anything()]);
    await arrives(feed, { symbol: 'BTC/USDT', signal: 'BUY', price: 162.5 });
  },

  'signal-gateway tail --topics BTC/USDT,ETH/USDT@1m': async (line) => {
    await link();
    const started = await anyGateway();
    const env = { ...linkedEnv(), GATEWAY_URL: `http://${HOST}:${started.port}` };
    const command = new ShellCommand(cleanup, line, checkout, env);
    await until(
      'the signals that were asked for, and no others',
      async () => {
        await post(started, '/v1/signals', [
          signal(1, { symbol: 'SOL/USDT' }),
          signal(2, { symbol: 'ETH/USDT', timeframe: '5m' }),
          signal(3, { symbol: 'ETH/USDT' }),
          signal(4),
        ]);
        return command.stdout.includes('ETH/USDT') && command.stdout.includes('BTC/USDT');
      },
      { seen: () => command, limit: 60_000 },
    );
    expect(command.stdout).not.toContain('SOL/USDT');
    expect(command.stdout).not.toContain('5m');
    await command.interrupt();
  },

  [REDIS_LINE]: async (line) => {
    const redis = await RedisServer.start(cleanup);
    await worksWithRedis(substituted(line, { 'localhost:6379': `${HOST}:${redis.port}` }));
  },

  [TLS_LINE]: async (line) => {
    const certificate = new Certificate(cleanup, 'redis');
    const port = await serverPort();
    const files = ['--tls-cert-file', certificate.certFile, '--tls-key-file', certificate.keyFile];
    const user = ['--user', 'user', 'on', '>password', '~*', '&*', '+@all'];
    const authority = ['--tls-ca-cert-file', certificate.certFile, '--tls-auth-clients', 'no'];
    await RedisServer.start(cleanup, ['--tls-port', String(port), ...files, ...authority, ...user]);
    await worksWithRedis(substituted(line, { 'redis.example.com:6380': `${HOST}:${port}` }), {
      NODE_EXTRA_CA_CERTS: certificate.certFile,
    });
  },

  [SENTINEL_LINE]: async (line) => {
    const { url } = await RedisSentinel.start(cleanup);
    await worksWithRedis(substituted(line, { 'redis-sentinel://s1:26379,s2:26379,s3:26379/mymaster': url }));
  },

  [CLUSTER_LINE]: async (line) => {
    const { url } = await RedisCluster.start(cleanup);
    await worksWithRedis(substituted(line, { 'redis-cluster://n1:6379,n2:6379,n3:6379': url }));
  },
};

test('every command of the README has a row in the table of this test, and every row is of one', () => {
  expect(COMMANDS.length).toBeGreaterThan(5);
  expect(COMMANDS.filter((line) => EFFECTS[line] === undefined)).toEqual([]);
  expect(Object.keys(EFFECTS).filter((line) => !COMMANDS.includes(line))).toEqual([]);
});

test('the README has no shell command outside of the blocks that are tested', () => {
  const known = new Set(['sh', 'js', '', 'mermaid']);
  expect(BLOCKS.filter(({ language }) => !known.has(language))).toEqual([]);
  const hidden = BLOCKS.filter(({ language, code }) => language === '' && /^\s*(?:\$|npm|npx|curl|node) /m.test(code));
  expect(hidden).toEqual([]);
});

describe('a command of the README, run in a shell in a fresh checkout,', () => {
  test.each([...new Set(COMMANDS)])('does what the README says: %s', { timeout: TIMEOUT }, async (line) => {
    const effect = EFFECTS[line];
    expect(effect).toBeDefined();
    await effect?.(line);
  });
});

describe('JavaScript of the README', () => {
  const snippets = BLOCKS.filter(({ language }) => language === 'js').map(({ code }) => code);

  test('is one snippet, which listens', () => {
    expect(snippets.length).toBe(1);
  });

  test('runs as written beside a gateway, and prints what it gets', { timeout: TIMEOUT }, async () => {
    const started = await anyGateway();
    const file = join(checkout, 'snippet.mjs');
    const url = `http://${HOST}:${started.port}`;
    writeFileSync(file, substituted(snippets[0] ?? '', { 'http://localhost:3000': url }));
    const command = new ShellCommand(cleanup, `node ${file}`, checkout, {});
    const lines = (count: number): Promise<unknown> =>
      until(`${count} lines`, () => command.stdout.split('\n').length > count, { seen: () => command, limit: 30_000 });
    await lines(1);
    await post(started, '/v1/status', status('degraded'));
    await post(started, '/v1/signals', JSON.parse(SEED));
    await lines(3);
    await started.command.interrupt();
    await lines(4);
    expect(command.stdout.split('\n')).toEqual([
      'Successfully connected to Quantum Trader Pro real-time feed.',
      'SignalMonitorWorker degraded',
      'BUY BTC/USDT 162.5',
      'disconnected: transport close',
      '',
    ]);
  });
});
