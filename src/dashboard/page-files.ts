import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** A file of the page, in memory and ready to send. */
export interface PageFile {
  readonly body: Buffer;
  readonly gzipped: Buffer;
  readonly contentType: string;
  /** Strong validator (RFC 9110, 8.8.3), in quotes. */
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Where Vite puts the page: next to this file, once it is built. */
const BUILT = fileURLToPath(new URL('./page/', import.meta.url));

/** The prefix of files in the built page. */
const BUILT_BASE = '"/dashboard/';

function load(path: string, basePath: string): PageFile {
  const read = readFileSync(path);
  const isPage = extname(path) === '.html' && basePath !== '';
  const body = isPage ? Buffer.from(read.toString().replaceAll(BUILT_BASE, `"${basePath}/dashboard/`)) : read;
  return {
    body,
    gzipped: gzipSync(body, { level: 9 }),
    contentType: TYPES[extname(path)] ?? 'application/octet-stream',
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`,
  };
}

/**
 * Reads the built page.
 *
 * @param basePath - what comes before the paths of the page, such as `/feed`
 * @returns its files by their path below the folder, `index.html` among them; `undefined` if it is not built
 */
export function loadPage(basePath = '', folder = BUILT): ReadonlyMap<string, PageFile> | undefined {
  try {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const page = new Map(
      files.map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [relative(folder, path).split(sep).join('/'), load(path, basePath)];
      }),
    );
    return page.has('index.html') ? page : undefined;
  } catch {
    return undefined;
  }
}
