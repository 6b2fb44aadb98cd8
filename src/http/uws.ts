import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as uWebSockets from 'uWebSockets.js';
import { EXIT, StartError, messageOf } from '../errors.js';
import { allowHeaders } from './request-head.js';

/** The uWebSockets.js module. */
export type Uws = typeof uWebSockets;

/** Version of the installed package. Its number is that of the upstream release, but for the last part. */
export function uwsVersion(): string {
  // Beside the module and not through its name, under which the package does not show it.
  const path = join(dirname(createRequire(import.meta.url).resolve('uWebSockets.js')), 'package.json');
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  return version;
}

/**
 * What uWebSockets.js calls a way of compressing. The small window is enough to find in a signal what the one before it
 * had, and a larger one costs each client that much memory.
 */
export function compressor(uws: Uws, way: 'off' | 'shared' | 'dedicated'): uWebSockets.CompressOptions {
  return { off: uws.DISABLED, shared: uws.SHARED_COMPRESSOR, dedicated: uws.DEDICATED_COMPRESSOR_4KB }[way];
}

/**
 * Loads uWebSockets.js, which is a binary for one platform and one major version of Node.js.
 *
 * It is loaded here and nowhere else, and handed to the parts that need it, so that a binary that can not load ends the
 * start with a reason instead of a stack trace.
 *
 * @param maxHeaderBytes - longest head of a request that is to be served; unset leaves uWebSockets.js at its 4 KB
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
      `uWebSockets.js can not load its binary for ${here}. It needs Node.js 20 or 22 with glibc 2.27 or newer (not ` +
        `Alpine), and node_modules installed by the same major version of Node.js: run "npm ci" again. Reason: ${reason}`,
      EXIT.failed,
    );
  }
}
