import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { MAIN, Pod } from '../support/pod.js';
import { Child, Cleanup, HOST } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { failedStart } from '../support/start.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const DIST = dirname(MAIN);
const ROOT = dirname(DIST);
const STATUS = ['--status', 'degraded', '--service', 'Worker', '--message', 'Behind the market.'];

async function ended(child: Child): Promise<unknown> {
  return { code: await child.exit, stderr: child.stderr };
}

/** What is built, with no package beside it but the one that stays outside. */
function copyOfDist(): string {
  const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-alone-'));
  cleanup.add(folder, (self) => rmSync(self, { recursive: true }));
  cpSync(DIST, join(folder, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(ROOT, 'node_modules/uWebSockets.js'), join(folder, 'node_modules/uWebSockets.js'));
  return join(folder, 'dist');
}

test('a gateway with Redis and every command of the package run with no package beside them but uWebSockets.js', async () => {
  const redis = await RedisServer.start(cleanup);
  const dist = copyOfDist();
  const pod = await Pod.start(cleanup, { REDIS_URL: redis.url }, { main: join(dist, 'main.js') });
  const env = { ADMIN_URL: pod.adminUrl, GATEWAY_URL: pod.url, REDIS_URL: redis.url, PORT: '0', ADMIN_PORT: '0' };
  const command = (...args: string[]): Child =>
    cleanup.add(new Child(process.execPath, [join(dist, 'cli.js'), ...args], env), (self) => self.kill());

  const tail = command('tail', '--json', '--count', '2');
  await until('the reader to be connected', () => tail.stderr.includes('connected to '), { seen: () => tail.stderr });
  expect(await ended(command('publish', ...STATUS))).toEqual({ code: 0, stderr: '' });
  expect(await ended(command('publish', '--redis', redis.url, ...STATUS))).toEqual({ code: 0, stderr: '' });
  expect([await tail.exit, tail.stdout.match(/Behind the market/g)?.length]).toEqual([0, 2]);
  expect(await ended(command('check'))).toEqual({ code: 0, stderr: '' });
});

test('a bundle with an engine.io that lacks what the gateway uses says to build again, and names no version from beside it', async () => {
  const dist = copyOfDist();
  symlinkSync(join(ROOT, 'node_modules/engine.io'), join(dist, '../node_modules/engine.io'));
  const bundle = join(dist, 'gateway.js');
  writeFileSync(bundle, readFileSync(bundle, 'utf8').replaceAll(/\bprepare\(/g, 'prepareRequest('));
  const env = { HOST, ADMIN_HOST: HOST, PORT: '0', ADMIN_PORT: '0' };
  const child = cleanup.add(new Child(process.execPath, [join(dist, 'main.js')], env), (self) => self.kill());
  expect(await failedStart(child)).toMatch(
    /^engine\.io does not have uServer\.prepare \(function\)\..*"npm run build"\.$/,
  );
});

test('the licenses of all packages in the bundle are with it', () => {
  const sources = readdirSync(DIST, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js.map') && !name.startsWith('client'))
    .flatMap((name) => (JSON.parse(readFileSync(join(DIST, name), 'utf8')) as { sources: string[] }).sources);
  const packages = new Set(sources.map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]));
  packages.delete(undefined);
  expect(packages.size).toBeGreaterThan(20);
  const licenses = readFileSync(join(DIST, 'third-party-licenses.md'), 'utf8');
  expect([...packages].filter((name) => !licenses.includes(`\n## ${name} - `))).toEqual([]);
});

test.each([
  ['names the functions', [], / at createLogger \(/],
  [
    'names the functions and lines of src/ with --enable-source-maps',
    ['--enable-source-maps'],
    / at createLogger \(.*\/src\/app\/logger\.ts:\d+/,
  ],
])('a stack trace %s', async (_what, nodeArgs, line) => {
  // No configuration: the first part that reads it throws.
  const script = `import(${JSON.stringify(join(DIST, 'gateway.js'))}).then(({ createGateway }) => createGateway({}))`;
  const child = cleanup.add(new Child(process.execPath, [...nodeArgs, '-e', script]), (self) => self.kill());
  expect(await child.exit).toBe(1);
  expect(child.stderr).toMatch(line);
});
