import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Stage, build, isInContext } from '../support/dockerfile.js';
import { ROOT } from '../support/manifests.js';
import { FeedClient } from '../support/pod.js';
import { Child, Cleanup, HOST } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const LOCK = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
};
const DOCKERFILE = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
/** Only root can become another user. */
const isRoot = process.getuid?.() === 0;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let folder: string;
let stage: Stage;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'signal-gateway-image-'));
  // The user of the image must get in.
  chmodSync(folder, 0o755);
  stage = build(folder);
  if (isRoot) execFileSync('chown', ['-R', '0:0', stage.root]);
  execFileSync('chmod', ['-R', 'a-w,a+rX', stage.root]);
}, 240_000);
afterAll(() => {
  execFileSync('chmod', ['-R', 'u+w', stage.root]);
  rmSync(folder, { recursive: true });
});

/** A command as the image's user, who may change nothing, in the image's folder. */
function asUser(command: readonly string[]): [string, ...string[]] {
  const [uid = '', gid = ''] = stage.user.split(':');
  return ['setpriv', '--reuid', uid, '--regid', gid, '--clear-groups', '--no-new-privs', '--', ...command];
}

/** The gateway, started as a container of the image would be, on free ports. */
function start(env: Readonly<Record<string, string>> = {}): Child {
  const [command, ...args] = asUser(stage.entrypoint);
  const all = { ...stage.env, HOST, PORT: '0', ADMIN_PORT: '0', DRAIN_DELAY_SECONDS: '0', DRAIN_SECONDS: '0', ...env };
  return cleanup.add(new Child(command, args, all, join(stage.root, stage.workdir)), (child) => child.kill());
}

/** The ports of a gateway that serves. */
async function serving(gateway: Child): Promise<{ port: number; adminPort: number }> {
  const line = await until(
    'the gateway to serve',
    () => gateway.stdout.split('\n').find((one) => one.includes('"msg":"serving"')),
    { seen: () => gateway.stdout + gateway.stderr },
  );
  return JSON.parse(line) as { port: number; adminPort: number };
}

test('the image stands on a Debian with a Node.js of a major version that the project supports', () => {
  expect(stage.image).toBe('node:22-bookworm-slim');
});

test('nothing that lies about gets into the build', () => {
  const out = [
    '.env',
    '.git/config',
    'node_modules/pino/package.json',
    'dist/main.js',
    'bench/results/today.json',
    'bench/out/today/result.json',
  ];
  expect(out.filter(isInContext)).toEqual([]);
  expect(['src/main.ts', 'package-lock.json', '.npmrc', 'bench/run.ts'].filter(isInContext)).toHaveLength(4);
});

test('everything that the bench imports is in its image', () => {
  const copied = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' '),
  );
  const isCopied = (path: string): boolean =>
    isInContext(path) && copied.some((source) => path === source || path.startsWith(`${source}/`));
  const imports = readdirSync(join(ROOT, 'bench'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const text = readFileSync(join(ROOT, 'bench', name), 'utf8');
      return [...text.matchAll(/from '(\.[^']+)\.js'/g)].map(([, target = '']) =>
        join('bench', dirname(name), `${target}.ts`),
      );
    });
  expect(imports.length).toBeGreaterThan(5);
  expect(imports.filter((path) => !isCopied(path))).toEqual([]);
});

test('the image holds what the gateway needs to run, and none of what it is made and tested with', () => {
  const app = join(stage.root, stage.workdir);
  const packages = Object.entries(LOCK.packages).filter(([path, { optional }]) => path !== '' && optional !== true);
  const [needed, tools] = [false, true].map((isTool) =>
    packages.filter(([, { dev = false }]) => dev === isTool).map(([path]) => path),
  );
  expect(needed?.filter((path) => !existsSync(join(app, path)))).toEqual([]);
  expect(tools?.filter((path) => existsSync(join(app, path)))).toEqual([]);
  expect(readdirSync(app).toSorted()).toEqual(['LICENSE', 'dist', 'node_modules', 'package.json']);
});

test('the image runs as a user that is not root, named by number', () => {
  expect(stage.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
});

test.skipIf(!isRoot)(
  'as that user, in a tree that it cannot write to, the gateway serves, passes its health check and ends at SIGTERM (skipped unless root)',
  async () => {
    const [command, ...args] = asUser(['sh', '-c', 'touch dist/x || touch x']);
    expect(spawnSync(command, args, { cwd: join(stage.root, stage.workdir) }).status).not.toBe(0);

    const gateway = start();
    const { port, adminPort } = await serving(gateway);
    const [uid] = stage.user.split(':');
    expect(readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8')).toMatch(
      new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'),
    );
    const client = await FeedClient.connect(cleanup, `http://${HOST}:${port}`);
    const answer = await fetch(`http://${HOST}:${adminPort}/v1/signals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(signal(1)),
    });
    expect(answer.status).toBe(202);
    await until('the signal', () => client.signals.length === 1, { seen: () => client });

    const check = async (): Promise<number | string> => {
      const [program, ...rest] = asUser(stage.healthcheck);
      return new Child(program, rest, { ...stage.env, ADMIN_PORT: String(adminPort) }).exit;
    };
    expect(await check()).toBe(0);
    expect(await gateway.kill('SIGTERM')).toBe(0);
    expect(await check()).toBe(1);
  },
);

test.skipIf(!isRoot)('a wrong setting ends the container with exit code 2 (skipped unless root)', async () => {
  const gateway = start({ PORT: 'wrong' });
  expect(await gateway.exit).toBe(2);
  expect(gateway.stderr).toContain('PORT');
});
