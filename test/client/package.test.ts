import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { Child, Cleanup } from '../support/processes.js';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const PROJECT = `
import {
  connectSignals, SignalError, type ConnectionState, type Delivery, type Gap, type OffsetStorage, type Signal, type SignalErrorCode,
  type StatusUpdate, type SubscribeResult,
} from 'signal-gateway/client';
import { useSignals, type SignalSnapshot, type TopicsError, type UseSignalsOptions } from 'signal-gateway/react';

const feed = connectSignals('https://signals.example.com', { topics: ['BTC/USDT'], storage: () => STORAGE });
feed.onSignal(({ price, symbol }) => price.toFixed(2) + symbol.toUpperCase());
export const state: ConnectionState = feed.state;
export const firstPrice = () => useSignals(feed).signals[0]?.signal.price.toFixed(2);
export const storage: OffsetStorage = STORAGE;
export const codeOf = (error: unknown): SignalErrorCode | undefined => (error instanceof SignalError ? error.code : undefined);
export const show = (one: Signal, status: StatusUpdate, gap: Gap, { offset }: Delivery): string =>
  one.symbol + status.service + gap.reason + offset;
export const change = (topics: string[]): Promise<SubscribeResult> => feed.subscribe(topics);
export const useMine = (options: UseSignalsOptions): SignalSnapshot => useSignals(feed, options);
export const useTheirs = (options: UseSignalsOptions) => useSignals(feed, options);
export const why = (error: TopicsError | undefined): string | undefined => error?.message;
// @ts-expect-error -- no such event
feed.onTrade(() => {});
`;

/** The first lines of the client's part of docs/clients.md. */
const SHOWN = /^const feed = connectSignals\(url, \{\n[\s\S]*?^\}\);$/m;

const SETTINGS = {
  strict: true,
  declaration: true,
  outDir: 'built',
  exactOptionalPropertyTypes: true,
  target: 'es2022',
  types: [],
};

test.each([
  ['bundler', { ...SETTINGS, module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'] }, 'sessionStorage'],
  ['nodenext', { ...SETTINGS, module: 'nodenext', lib: ['es2022', 'dom'] }, 'localStorage'],
])(
  'a project that has the package installed compiles with its types, modules resolved as by %s',
  async (_name, compilerOptions, storage) => {
    const folder = await mkdtemp(join(tmpdir(), 'signal-gateway-project-'));
    cleanup.add(folder, (path) => rm(path, { recursive: true }));
    await mkdir(join(folder, 'node_modules'));
    await symlink(ROOT, join(folder, 'node_modules/signal-gateway'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['page.ts', 'shown.ts'] }));
    await writeFile(join(folder, 'page.ts'), PROJECT.replaceAll('STORAGE', storage));
    const shown = SHOWN.exec(await readFile(join(ROOT, 'docs/clients.md'), 'utf8'))?.[0] ?? 'is missing';
    const before = `import { connectSignals } from 'signal-gateway/client';\ndeclare const url: string;\n`;
    await writeFile(join(folder, 'shown.ts'), before + shown);
    const tsc = cleanup.add(
      new Child(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder]),
      (child) => child.kill(),
    );
    expect([await tsc.exit, tsc.stdout]).toEqual([0, '']);
  },
);

test('frameworks with server components are told by the first line that the hook is for browsers', async () => {
  expect(await readFile(join(ROOT, 'dist/client/use-signals.js'), 'utf8')).toMatch(/^'use client';\n/);
});
