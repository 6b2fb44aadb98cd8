import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, test } from 'vitest';
import { clientOnly } from './client-only.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What a page pays on top of these packages. */
async function bundle(entry: string, external: string[]): Promise<{ code: string; imports: string[] }> {
  const output = await build({
    configFile: false,
    logLevel: 'warn',
    root: ROOT,
    plugins: [clientOnly()],
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      lib: { entry: `${ROOT}src/client/${entry}`, formats: ['es'] },
      rolldownOptions: { external },
    },
  });
  const [first] = [output].flat();
  if (first === undefined || !('output' in first)) throw new Error('Vite gave no output');
  const [chunk, ...more] = first.output;
  expect(more).toEqual([]);
  return { code: chunk.code, imports: chunk.imports };
}

test('signal-gateway/client is less than 3 KB beyond socket.io-client, minified and gzipped, and has nothing of the gateway in it', async () => {
  const { code, imports } = await bundle('signal-client.ts', ['socket.io-client']);
  expect(gzipSync(code, { level: 9 }).length).toBeLessThan(3000);
  // Minified alone; what it may grow to is our choice.
  expect(code.length).toBeLessThan(8000);
  expect(imports).toEqual(['socket.io-client']);
  expect(code).not.toMatch(/zod/i);
});

test('signal-gateway/react with the client in it is less than 4 KB beyond react and socket.io-client', async () => {
  const { code, imports } = await bundle('use-signals.ts', ['socket.io-client', 'react']);
  expect(gzipSync(code, { level: 9 }).length).toBeLessThan(4000);
  expect(imports.toSorted()).toEqual(['react', 'socket.io-client']);
});

test('signal-gateway/react tells frameworks with server components, in its first line, that it is for browsers', () => {
  expect(readFileSync(`${ROOT}dist/client/use-signals.js`, 'utf8')).toMatch(/^(['"])use client\1;\n/);
});
