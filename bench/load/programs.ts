import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ServerName } from '../scenario.js';

/** Debian's own, where its packages are; not what a version manager puts first on the PATH. */
const PYTHON = '/usr/bin/python3';
const PYTHON_MODULES = 'socketio, fastapi, uvicorn, redis.asyncio, websockets, uvloop, httptools';
/** Debian packages that the row `python` needs. */
export const PYTHON_PACKAGES =
  'python3-socketio python3-fastapi python3-uvicorn python3-redis python3-websockets python3-uvloop python3-httptools'.split(
    ' ',
  );

/** A program that can be started: a server of the comparison, or a control of the `ingest` scenario. */
export type ProgramName = ServerName | 'straight' | 'bare-journal';

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

// What the bench does not compare is kept out of the figures alike: no source needs a build but the gateway's own.
const NODE = ['--expose-gc', '--import', path('probe.mjs')];
const TYPESCRIPT = [...NODE, '--import', 'tsx'];

/** How each is started: a command and its arguments. */
export const PROGRAMS: Readonly<Record<ProgramName, { command: string; args: readonly string[] }>> = {
  gateway: { command: process.execPath, args: [...NODE, path('../../dist/main.js')] },
  raw: { command: process.execPath, args: [...TYPESCRIPT, path('../servers/raw.ts')] },
  'stock-uws': { command: process.execPath, args: [...TYPESCRIPT, path('../servers/stock-uws.ts')] },
  'stock-ws': { command: process.execPath, args: [...TYPESCRIPT, path('../servers/stock-ws.ts')] },
  python: { command: PYTHON, args: [path('../servers/python/server.py')] },
  straight: { command: process.execPath, args: [...TYPESCRIPT, path('../servers/straight.ts')] },
  'bare-journal': { command: process.execPath, args: [...TYPESCRIPT, path('../servers/bare-journal.ts')] },
};

/** Why a server cannot run on this machine, in a sentence; `undefined` if it can. */
export function unavailable(name: ProgramName): string | undefined {
  if (name !== 'python') return undefined;
  const { status } = spawnSync(PYTHON, ['-c', `import ${PYTHON_MODULES}`], { stdio: 'ignore' });
  if (status === 0) return undefined;
  return `The row "python" is left out: install ${PYTHON_PACKAGES.join(' ')} (Debian) to have it.`;
}
