import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { cli } from '../support/cli.js';
import { Certificate } from '../support/certificate.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST, serverPort } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FREE = { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0' };

interface Report {
  readonly ok: boolean;
  readonly variables?: Readonly<Record<string, string | null>>;
  readonly checks?: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  readonly problems?: readonly { readonly variable: string }[];
}

async function check(
  env: Readonly<Record<string, string>>,
  nodeArgs: readonly string[] = [],
): Promise<{ code: number | string; report: Report; text: string }> {
  const child = cli(cleanup, ['check', '--json'], env, nodeArgs);
  const code = await child.exit;
  expect(child.stderr).toBe('');
  return { code, report: JSON.parse(child.stdout) as Report, text: child.stdout };
}

function failed(report: Report): string[] {
  return (report.checks ?? []).filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);
}

test('a valid configuration is shown as the gateway would use it, and the exit code is 0', async () => {
  const redis = await RedisServer.start(cleanup);
  const env = { ...FREE, REDIS_URL: redis.url, JOURNAL_MAXLEN: '5000' };
  const child = cli(cleanup, ['check'], env);
  expect([await child.exit, child.stderr]).toEqual([0, '']);
  expect(child.stdout).toMatch(/^ {2}JOURNAL_MAXLEN +5000 {2}\(set\)$/m);
  expect(child.stdout).toMatch(/^ {2}DRAIN_SECONDS +20$/m);
  expect(child.stdout).toMatch(/^ {2}JWT_SECRET +unset$/m);
  expect(child.stdout).toMatch(/^ {2}ok +uWebSockets\.js +20\.\S+ loads/m);
  expect(child.stdout).toMatch(new RegExp(`^ {2}ok +REDIS_URL +${redis.url} answers in \\d+ ms, Redis \\d`, 'm'));
  const { code, report } = await check(env);
  expect([code, report.ok, failed(report)]).toEqual([0, true, []]);
  expect(report.variables).toMatchObject({ JOURNAL_MAXLEN: '5000', DRAIN_SECONDS: '20', JWT_SECRET: null });
});

test('all mistakes of the configuration are reported at once, and the exit code is 2', async () => {
  const env = { ...FREE, PORT: 'none', DRAIN_SECONDS: '-1', API_KEY: 'not a key', AUTH: 'jwt' };
  const child = cli(cleanup, ['check'], env);
  expect([await child.exit, child.stdout]).toEqual([2, '']);
  for (const name of ['PORT', 'DRAIN_SECONDS', 'API_KEY', 'JWT_SECRET']) expect(child.stderr).toContain(`  ${name}: `);
  expect(child.stderr).not.toContain('not a key');
  const { code, report } = await check(env);
  expect([code, report.ok, report.problems?.length]).toEqual([2, false, 4]);
});

test('secrets are not shown, neither those of the configuration nor that of Redis', async () => {
  const secrets = { API_KEY: 'secret-of-the-api', JWT_SECRET: 'secret-of-the-tokens-and-long-enough' };
  const port = await serverPort();
  const env = { ...FREE, ...secrets, AUTH: 'jwt', REDIS_URL: `redis://user:secret-of-redis@${HOST}:${port}` };
  const people = cli(cleanup, ['check'], env);
  expect(await people.exit).toBe(1);
  const { text, report } = await check(env);
  expect(people.stdout + people.stderr + text).not.toMatch(/secret-of/);
  expect(report.variables).toMatchObject({ API_KEY: '(hidden)', REDIS_URL: `redis://${HOST}:${port}` });
});

describe('a fault ends with 1, and the message says what to do:', () => {
  test('Redis that is not there, or refuses', async () => {
    const port = await serverPort();
    const away = await check({ ...FREE, REDIS_URL: `redis://${HOST}:${port}` });
    expect([away.code, failed(away.report)]).toEqual([
      1,
      [expect.stringMatching(/^REDIS_URL: .*ECONNREFUSED.*Start Redis there, or correct the address in REDIS_URL\.$/)],
    ]);
    const redis = await RedisServer.start(cleanup);
    await redis.client(cleanup).config('SET', 'requirepass', 'right');
    const refused = await check({ ...FREE, REDIS_URL: `redis://:wrong@${HOST}:${redis.port}` });
    expect([refused.code, failed(refused.report)]).toEqual([1, [expect.stringContaining('WRONGPASS')]]);
  });

  test('a port that is taken, and the process that has it', async () => {
    const pod = await Pod.start(cleanup);
    const { code, report } = await check({ ...FREE, PORT: String(pod.port), ADMIN_PORT: String(pod.adminPort) });
    expect(code).toBe(1);
    const holder = process.platform === 'linux' ? ` (process ${pod.child.process.pid})` : '';
    for (const [name, port] of [
      ['PORT', pod.port],
      ['ADMIN_PORT', pod.adminPort],
    ] as const) {
      const told = failed(report).find((line) => line.startsWith(`${name}: `));
      expect(told).toContain(`${HOST}:${port} is taken by`);
      expect(told).toContain(holder);
      expect(told).toContain(`set ${name} to another port`);
    }
    const server = cleanup.add(createServer().listen(0, HOST), (self) => self.close());
    await once(server, 'listening');
    const port = String((server.address() as AddressInfo).port);
    expect(failed((await check({ ...FREE, PORT: port })).report)).toHaveLength(1);
  });

  test('one port for both, and an address that this machine does not have', async () => {
    const port = String(await serverPort());
    expect((await check({ ...FREE, PORT: port, ADMIN_PORT: port })).code).toBe(1);
    const elsewhere = await check({ ...FREE, HOST: '192.0.2.1' });
    expect(failed(elsewhere.report)).toEqual([expect.stringMatching(/^PORT: 192\.0\.2\.1:0 cannot be used/)]);
  });

  test('a binary of uWebSockets.js that cannot load', async () => {
    const preload = fileURLToPath(new URL('../support/uws-can-not-load.cjs', import.meta.url));
    const { code, report } = await check(FREE, ['--require', preload]);
    expect([code, failed(report)]).toEqual([1, [expect.stringMatching(/^uWebSockets\.js: .*npm ci/)]]);
  });

  test('a certificate that is not that of the key', async () => {
    const certificate = new Certificate(cleanup, 'one');
    const other = new Certificate(cleanup, 'other');
    const good = await check({ ...FREE, TLS_CERT: certificate.certFile, TLS_KEY: certificate.keyFile });
    expect([good.code, failed(good.report)]).toEqual([0, []]);
    const { code, report } = await check({ ...FREE, TLS_CERT: certificate.certFile, TLS_KEY: other.keyFile });
    expect([code, failed(report)]).toEqual([1, [expect.stringMatching(/^TLS_CERT: .*belong together/)]]);
  });

  test('a certificate that is not valid yet', async () => {
    const { certFile, keyFile } = new Certificate(cleanup, 'one');
    // A clock that is 5 days behind.
    const clock = 'data:text/javascript,const now = Date.now; Date.now = () => now() - 5 * 86_400_000;';
    const { code, report } = await check({ ...FREE, TLS_CERT: certFile, TLS_KEY: keyFile }, ['--import', clock]);
    expect([code, failed(report)]).toEqual([1, [expect.stringMatching(/^TLS_CERT: is not valid before \d{4}-/)]]);
  });

  test('a Redis that is a replica', async () => {
    const primary = await RedisServer.start(cleanup);
    const replica = await RedisServer.start(cleanup, ['--replicaof', HOST, String(primary.port)]);
    const { code, report } = await check({ ...FREE, REDIS_URL: replica.url });
    expect([code, failed(report)]).toEqual([1, [expect.stringMatching(/^REDIS_URL: .* is a replica/)]]);
    expect((await check({ ...FREE, REDIS_URL: primary.url })).code).toBe(0);
  });
});

test('a command or a channel that the user of Redis may not use is named, and so is a password that is refused', async () => {
  const redis = await RedisServer.start(cleanup);
  const admin = redis.client(cleanup);
  const url = redis.url.replace('//', '//gateway:right@');
  await admin.call('ACL', 'SETUSER', 'gateway', 'on', '>right', '~*', '&new_signal', '&{gateway}:*', '+@all', '-xadd');
  const [refused = ''] = failed((await check({ ...FREE, REDIS_URL: url })).report);
  expect(refused).toMatch(/xadd/);
  expect(refused).toMatch(/subscribe status_update/);
  expect(refused).toMatch(/Give the Redis user this right/);
  const [wrong = ''] = failed((await check({ ...FREE, REDIS_URL: url.replace('right', 'wrong') })).report);
  expect(wrong).toMatch(/server \S+ refused the password: WRONGPASS/);
  expect(wrong).not.toMatch(/Start Redis|:wrong/);
});

test('what was tried is reported, the rights of the user of Redis, and what was not, the keys behind JWKS_URL', async () => {
  const redis = await RedisServer.start(cleanup);
  const jwt = { AUTH: 'jwt', JWKS_URL: 'https://issuer.invalid/keys', JWT_AUDIENCE: 'feed' };
  const { code, report } = await check({ ...FREE, ...jwt, REDIS_URL: redis.url });
  expect(code).toBe(0);
  const details = Object.fromEntries((report.checks ?? []).map(({ name, detail }) => [name, detail]));
  expect(details['REDIS_URL']).toContain('its user may run the scripts that were tried, and hear the channels');
  expect(details['JWKS_URL']).toContain('not asked for keys');
});
