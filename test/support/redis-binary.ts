import { execFileSync, spawnSync } from 'node:child_process';

/** Whether a program is on the PATH. */
function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/**
 * Vitest global set-up: makes sure that a real `redis-server` is there. As root on Debian it is installed; anywhere else
 * the run stops with the command to type.
 */
export default function setup(): void {
  if (has('redis-server') && has('redis-cli')) return;
  if (process.getuid?.() === 0 && has('apt-get')) {
    process.stderr.write('The tests need redis-server, which is not here: installing it with apt-get.\n');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
    // The package would start a server of its own on the default port; the tests start their own on free ports.
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...env, RUNLEVEL: '1' },
    });
    return;
  }
  throw new Error(
    'The tests need redis-server. Install it with "sudo apt-get install redis-server" (Debian) or "brew install redis" (macOS).',
  );
}
