import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from './result.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Packages whose version decides about the figures. */
const PACKAGES = ['uWebSockets.js', 'socket.io', 'engine.io', 'ioredis', '@socket.io/redis-adapter'];

/** What a program says about its version; `undefined` if it is not there. */
function said(command: string, args: readonly string[], pattern: RegExp): string | undefined {
  try {
    const text = execFileSync(command, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return pattern.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

function packageVersion(name: string): string | undefined {
  try {
    const text = readFileSync(`${ROOT}/node_modules/${name}/package.json`, 'utf8');
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return undefined;
  }
}

/** What the bench runs on. */
export function machine(): BenchResult['machine'] {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown processor',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
  };
}

/** Versions of everything that decides about the figures, as far as they are there. */
export function versions(): BenchResult['versions'] {
  const found: Record<string, string | undefined> = {
    // `-dirty` tells that the figures are not those of the commit alone.
    commit: said('git', ['describe', '--always', '--dirty', '--exclude', '*'], /(\S+)/),
    node: process.versions.node,
    ...Object.fromEntries(PACKAGES.map((name) => [name, packageVersion(name)])),
    'redis-server': said('redis-server', ['--version'], / v=(\S+)/),
    python: said('/usr/bin/python3', ['--version'], /Python (\S+)/),
  };
  return Object.fromEntries(
    Object.entries(found).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])),
  );
}
