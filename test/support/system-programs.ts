import { execFileSync, spawnSync } from 'node:child_process';
import { PYTHON_PACKAGES, unavailable } from '../../bench/load/programs.js';

/** Whether a program is on the PATH. */
function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** Whether there is a Python that has what `examples/python-client.py` needs, and the client without asyncio. */
function hasPythonClient(): boolean {
  const pythons = ['python3', '/usr/bin/python3'];
  return pythons.some((python) => spawnSync(python, ['-c', 'import socketio, aiohttp, requests']).status === 0);
}

/** What the control row of the bench in Python still needs. */
function missingForPythonRow(): readonly string[] {
  return unavailable('python') === undefined ? [] : PYTHON_PACKAGES;
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
 * Vitest global set-up: makes sure that the real programs which the tests start are there. As root on Debian they are
 * installed; anywhere else the run stops with the command to type for Redis, and skips what needs HAProxy, Chromium, promtool
 * (of Prometheus) or python-socketio, which the bench's control row in Python needs too, with its server.
 */
export default function setup(): void {
  const hasRedis = has('redis-server') && has('redis-cli');
  const others = [
    ...['haproxy', 'chromium'].filter((program) => !has(program)),
    ...(has('promtool') ? [] : ['prometheus']),
    ...(hasPythonClient() ? [] : ['python3-socketio', 'python3-aiohttp', 'python3-requests']),
    ...missingForPythonRow(),
  ];
  const missing = [...(hasRedis ? [] : ['redis-server']), ...others];
  if (missing.length === 0 || install(missing)) return;
  if (!hasRedis) {
    throw new Error(
      'The tests need redis-server. Install it with "sudo apt-get install redis-server" (Debian) or "brew install redis" (macOS).',
    );
  }
  for (const program of others) {
    process.stderr.write(`There is no ${program} on this machine: the tests that need it are skipped.\n`);
  }
}
