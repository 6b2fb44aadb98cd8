import { once } from 'node:events';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { type Cleanup, HOST } from '../support/processes.js';
import { clientOnly } from './client-only.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript' };

/** Bundles a page as a project that uses the package does. Paths are from the top of the repository. */
async function bundle(path: string): Promise<ReadonlyMap<string, string | Uint8Array>> {
  const output = await build({
    configFile: false,
    logLevel: 'warn',
    root: ROOT,
    plugins: [clientOnly()],
    oxc: { jsx: { runtime: 'automatic' } },
    build: { write: false, target: 'es2022', rolldownOptions: { input: ROOT + path } },
  });
  const [first] = [output].flat();
  if (first === undefined || !('output' in first)) throw new Error('Vite gave no output');
  return new Map(first.output.map((file) => [`/${file.fileName}`, file.type === 'asset' ? file.source : file.code]));
}

/** Serves a page and what it needs, bundled, on an origin of its own. @returns its address */
export async function servePage(cleanup: Cleanup, path: string): Promise<string> {
  const files = await bundle(path);
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page');
    const file = files.get(pathname);
    // A browser asks for it by itself.
    if (file === undefined) response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
    else response.writeHead(200, { 'content-type': TYPES[extname(pathname)] ?? 'text/plain' }).end(file);
  });
  cleanup.add(server, (self) => {
    self.close();
    self.closeAllConnections();
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return `http://${HOST}:${(server.address() as { port: number }).port}/${path}`;
}

/** Collects what a page complains of. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  return complaints;
}

/** The texts of the rows of a list. */
export function rowsOf(page: Page, selector: string): Promise<string[]> {
  return page.locator(`${selector} > li`).allTextContents();
}
