import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as uWebSockets from 'uWebSockets.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { allowHeaders } from './request-head.js';

/** The uWebSockets.js module. */
export type Uws = typeof uWebSockets;

/** Version of the installed package: that of the upstream release, but for its last part. */
export function uwsVersion(): string {
  // Found beside the module: the package does not export it.
  const path = join(dirname(createRequire(import.meta.url).resolve('uWebSockets.js')), 'package.json');
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  return version;
}

/**
 * The compressor of uWebSockets.js for a setting. The small window is enough to find what a signal shares with the one
 * before it; a larger one costs more memory for each client.
 */
export function compressor(uws: Uws, way: 'off' | 'shared' | 'dedicated'): uWebSockets.CompressOptions {
  return { off: uws.DISABLED, shared: uws.SHARED_COMPRESSOR, dedicated: uws.DEDICATED_COMPRESSOR_4KB }[way];
}

/**
 * Loads uWebSockets.js, which is a binary for one platform and one major version of Node.js.
 *
 * Only this function loads it, and the parts that need it are given it, so that a binary that cannot load ends the start
 * with a reason instead of a stack trace.
 *
 * @param maxHeaderBytes - longest head of a request that is served; unset leaves uWebSockets.js at its 4 KB
 * @throws {@link StartError} with what to do
 */
export function loadUws(maxHeaderBytes?: number): Uws {
  if (maxHeaderBytes !== undefined) allowHeaders(maxHeaderBytes, process.env);
  try {
    return createRequire(import.meta.url)('uWebSockets.js') as Uws;
  } catch (error) {
    const here = `Node.js ${process.versions.node} on ${process.platform}-${process.arch}`;
    // The module puts the system's reason last; below that Node.js may list the files that wanted a missing one.
    const [told = ''] = messageOf(error).split('\nRequire stack:');
    const reason = told.trim().split('\n').at(-1);
    throw new StartError(
      `uWebSockets.js cannot load its binary for ${here}. It needs Node.js 20 or 22 with glibc 2.27 or newer (not ` +
        `Alpine), and node_modules installed by the same major version of Node.js: run "npm ci" again. Reason: ${reason}`,
      EXIT.failed,
    );
  }
}
