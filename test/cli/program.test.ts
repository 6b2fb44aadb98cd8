import { accessSync, constants, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { CLI, cli, shell } from '../support/cli.js';
import { MAIN } from '../support/pod.js';
import { Child, Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  bin: Record<string, string>;
};
const COMMANDS = ['start', 'publish', 'tail', 'check', 'doctor', 'bench'];
const NO_UWS = ['--require', fileURLToPath(new URL('../support/uws-can-not-load.cjs', import.meta.url))];

async function ended(child: Child): Promise<{ code: number | string; stdout: string; stderr: string }> {
  return { code: await child.exit, stdout: child.stdout, stderr: child.stderr };
}

test('the bin of the package is there after a build, names its interpreter and can be executed', () => {
  const file = join(ROOT, PACKAGE.bin['signal-gateway'] ?? '');
  expect(file).toBe(CLI);
  expect(readFileSync(file, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(() => accessSync(file, constants.X_OK)).not.toThrow();
});

test('--version is that of the package', async () => {
  expect(await ended(cli(cleanup, ['--version']))).toEqual({ code: 0, stdout: `${PACKAGE.version}\n`, stderr: '' });
});

describe('--help', () => {
  test.each(['', ...COMMANDS])(
    'of "signal-gateway %s" has usage, examples and exit codes, and needs no uWebSockets.js',
    async (name) => {
      const command = name === '' ? [] : [name];
      const { code, stdout, stderr } = await ended(cli(cleanup, [...command, '--help'], {}, NO_UWS));
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toContain(['Usage: signal-gateway', ...command].join(' '));
      expect(stdout).toContain('Examples:\n  ');
      expect(stdout).toContain('Exit codes:\n  0 ');
    },
  );

  test('and docs/command-line.md name the same commands and options', async () => {
    const page = readFileSync(join(ROOT, 'docs/command-line.md'), 'utf8');
    const outputs = await Promise.all(COMMANDS.map((name) => ended(cli(cleanup, [name, '--help']))));
    const options = outputs.flatMap(({ stdout }) => [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)]);
    const names = new Set(options.map(([, name = '']) => name));
    expect(names.size).toBeGreaterThan(20);
    expect([...names].filter((name) => !page.includes(`\`${name}`))).toEqual([]);
    expect(COMMANDS.filter((name) => !page.includes(`## ${name}`))).toEqual([]);
    const written = new Set([...page.matchAll(/^\| *`(--[\w-]+)/gm)].map(([, name = '']) => name));
    expect([...written].filter((name) => !names.has(name))).toEqual([]);
  });
});

describe('a wrong command line', () => {
  test.each([
    [['tail', '--topcs', 'BTC/USDT'], "unknown option '--topcs'", '--topics'],
    [['publish', '--simbol', 'BTC/USDT'], "unknown option '--simbol'", '--symbol'],
    [['start', '--dem'], "unknown option '--dem'", '--demo'],
    [['check', '--jsn'], "unknown option '--jsn'", '--json'],
    [['publsh'], "unknown command 'publsh'", 'publish'],
  ])('%j ends with 2 and one message that names what is wrong and what may be meant', async (args, named, meant) => {
    const { code, stdout, stderr } = await ended(cli(cleanup, args));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(named);
    expect(stderr).toContain(`(Did you mean ${meant}?)`);
    expect(stderr).toContain('--help');
  });

  test.each([
    [['tail', '--count', 'many'], '--count'],
    [['tail', '--url', 'localhost'], '--url'],
    [['tail', 'BTC/USDT'], 'too many arguments'],
    [['tail', '--topics', ','], '--topics'],
    [['publish', '--signal', 'HOLD'], '--signal'],
    [['publish', '--symbol', 'BTC/USDT'], '--signal, --price'],
    [['publish', '--symbol', 'BTC/USDT', '--signal', 'BUY', '--price', '-1'], '--price'],
    [['publish', '--symbol', 'A@B', '--signal', 'BUY', '--price', '1'], '--symbol'],
    [['publish', '--symbol', 'A', '--status', 'active'], '--symbol and --status'],
    [['publish', '--status', 'active'], '--service'],
    [['publish', '--timestamp', 'now', '--symbol', 'A', '--signal', 'BUY', '--price', '1'], '--timestamp'],
    [['publish', '--redis', 'http://localhost', '--status', 'active', '--service', 'A'], '--redis'],
    [['publish', '--idempotency-key', 'clé', '--status', 'active', '--service', 'A'], '--idempotency-key'],
    [['publish', '--idempotency-key', 'a', '--redis', '--status', 'active', '--service', 'A'], '--redis'],
    [['publish', '--redis', '--status', 'active', '--service', 'A'], 'REDIS_URL'],
  ])('%j ends with 2 and names %s', async (args, named) => {
    const { code, stdout, stderr } = await ended(cli(cleanup, args));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(named);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test.each([
    [['publish', '--url', 'http://user:secret-word@localhost:3001'], {}, '--url'],
    [['tail', '--url', 'user:secret-word@localhost'], {}, '--url'],
    [['tail', '--url=http://user:secret-word@[x'], {}, '--url'],
    [['publish'], { ADMIN_URL: 'http://user:secret-word@localhost:3001' }, 'ADMIN_URL'],
    [['tail'], { GATEWAY_URL: 'http://secret-word@localhost:3000' }, 'GATEWAY_URL'],
  ])('%j with %j ends with 2 and names %s without showing the password', async (args, env, named) => {
    const { code, stdout, stderr } = await ended(cli(cleanup, args, env));
    expect([code, stdout, stderr.split('\n').length]).toEqual([2, '', 2]);
    expect(stderr).toContain(named);
    expect(stderr).not.toContain('secret-word');
  });

  test('without a command ends with 2 and the help on standard error', async () => {
    const { code, stdout, stderr } = await ended(cli(cleanup, []));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: signal-gateway');
  });

  test.each([
    [['--dmo'], '--dmo'],
    [['serve'], 'too many arguments'],
  ])('of dist/main.js, %j, ends with 2 and says so', async (args, named) => {
    const child = cleanup.add(new Child(process.execPath, [MAIN, ...args]), (self) => self.kill());
    const { code, stdout, stderr } = await ended(child);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(named);
  });
});

describe('bench', () => {
  test('passes its arguments on to the bench of the checkout, and the exit code back', async () => {
    const help = await ended(cli(cleanup, ['bench', '--', '--help']));
    expect([help.code, help.stderr]).toEqual([0, '']);
    expect(help.stdout).toContain('--scenario');
    const wrong = await ended(cli(cleanup, ['bench', '--no-such-option']));
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toContain('--no-such-option');
  });

  test('in an installed package says where the bench is, with 2; the other commands work there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'signal-gateway-installed-'));
    cleanup.add(folder, (self) => rmSync(self, { recursive: true }));
    cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const { code, stderr } = await ended(
      shell(cleanup, 'signal-gateway bench --smoke', { CLI: join(folder, 'dist/cli.js') }),
    );
    expect([code, stderr.split('\n').length]).toEqual([2, 2]);
    expect(stderr).toContain('npm run bench');
    const { stdout } = await ended(shell(cleanup, 'signal-gateway --version', { CLI: join(folder, 'dist/cli.js') }));
    expect(stdout).toBe(`${PACKAGE.version}\n`);
  });
});
