import { execFileSync, spawnSync } from 'node:child_process';

/** Whether a program is on the PATH. */
function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** Installs Debian packages; returns whether that can be done here. */
function install(packages: readonly string[]): boolean {
  if (process.getuid?.() !== 0 || !has('apt-get')) return false;
  process.stderr.write(`The tests use ${packages.join(' and ')}, which this machine lacks: installing with apt-get.\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
  // The packages would start servers of their own on default ports; the tests start their own on free ones.
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...env, RUNLEVEL: '1' },
  });
  return true;
}

/**
 * Vitest global set-up: makes sure that the real servers which the tests start are there. As root on Debian they are
 * installed; anywhere else the run stops with the command to type for Redis, and skips what needs HAProxy.
 */
export default function setup(): void {
  const hasRedis = has('redis-server') && has('redis-cli');
  const missing = [...(hasRedis ? [] : ['redis-server']), ...(has('haproxy') ? [] : ['haproxy'])];
  if (missing.length === 0 || install(missing)) return;
  if (!hasRedis) {
    throw new Error(
      'The tests need redis-server. Install it with "sudo apt-get install redis-server" (Debian) or "brew install redis" (macOS).',
    );
  }
  process.stderr.write('There is no haproxy on this machine: the tests of rolling restarts behind it are skipped.\n');
}
