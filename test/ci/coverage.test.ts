import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ChildCoverage, mapOf } from '../../.ci/coverage.mjs';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PRELOAD = join(ROOT, 'test/support/coverage-preload.cjs');

const cleanup = new Cleanup();
let folder = '';

beforeEach(() => {
  folder = cleanup.add(mkdtempSync(join(tmpdir(), 'coverage-')), (self) => rmSync(self, { recursive: true }));
  vi.stubEnv('NODE_V8_COVERAGE', folder);
});

afterEach(async () => {
  await cleanup.run();
  vi.unstubAllEnvs();
});

test('what a pod ran is counted in the lines of the sources, even if a test kills it', async () => {
  const pod = await Pod.start(cleanup, {}, { nodeArgs: ['--require', PRELOAD] });
  expect((await pod.post('/v1/signals', { no: 'signal' })).status).toBe(422);
  expect(await pod.child.kill()).toBe('SIGKILL');
  const children = new ChildCoverage(folder);
  children.collect();
  expect(readdirSync(folder)).toEqual([]);
  const map = await mapOf('', children);
  const percentOf = (path: string): number => map.fileCoverageFor(ROOT + path).toSummary().lines.pct;
  expect(map.files().filter((path) => !path.startsWith(`${ROOT}src/`))).toEqual([]);
  expect(percentOf('src/http/listener.ts')).toBeGreaterThan(50);
  expect(percentOf('src/contract/decode.ts')).toBeGreaterThan(10);
  expect(percentOf('src/contract/decode.ts')).toBeLessThan(100);
});
