import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { Child, Cleanup } from './processes.js';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const GUARD = fileURLToPath(new URL('no-warnings.ts', import.meta.url));

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

/** Runs a project of one test that passes. @returns the exit code and what was printed */
async function run(body: string): Promise<{ code: number | string; said: string }> {
  const path = cleanup.add(mkdtempSync(join(tmpdir(), 'no-warnings-')), (self) => rmSync(self, { recursive: true }));
  symlinkSync(MODULES, join(path, 'node_modules'));
  writeFileSync(join(path, 'some.test.js'), `import { test } from 'vitest';\ntest('passes', () => {\n${body}\n});\n`);
  writeFileSync(
    join(path, 'vitest.config.ts'),
    `import { noteConsole } from ${JSON.stringify(GUARD)};
     export default { test: { globalSetup: ${JSON.stringify(GUARD)}, onConsoleLog: noteConsole } };`,
  );
  const args = [join(MODULES, 'vitest/vitest.mjs'), 'run', '--root', path];
  const child = cleanup.add(new Child(process.execPath, args, { NODE_OPTIONS: '' }), (self) => self.kill());
  return { code: await child.exit, said: child.stdout + child.stderr };
}

test('a run of tests that all pass fails when one warns, when its child does, or when it writes to standard error', async () => {
  const { code, said } = await run(`
    process.emitWarning('of a test');
    console.error('an error on the console');
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    spawnSync(process.execPath, ['-e', 'process.emitWarning("of a child"); setTimeout(() => {}, 100)']);
  `);
  expect(said).toContain('1 passed');
  expect(code).toBe(1);
  const report = said.slice(said.indexOf('The run failed: there were warnings'));
  expect(report).toMatch(/Warning: of a test\n {4}at /);
  expect(report).toMatch(/Warning: of a child\n {4}at /);
  expect(report).toContain('an error on the console');
});

test('a run without a warning passes', async () => {
  const { code, said } = await run(`console.log('harmless')`);
  expect(said).toContain('harmless');
  expect(code).toBe(0);
});
