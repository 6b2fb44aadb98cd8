import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Job {
  readonly 'timeout-minutes': number;
  readonly container: { readonly image: string };
  readonly steps: readonly { readonly uses?: string; readonly run?: string; readonly with?: Record<string, unknown> }[];
}

function read(path: string): string {
  return readFileSync(ROOT + path, 'utf8');
}

const workflow = parse(read('.github/workflows/ci.yml')) as {
  readonly on: object;
  readonly permissions: object;
  readonly jobs: Readonly<Record<string, Job>>;
};
const { engines, ...manifest } = JSON.parse(read('package.json')) as {
  readonly engines: { readonly node: string };
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};

test('the workflow runs .ci/run on every push to main and every pull request, and may only read', () => {
  expect(workflow.on).toEqual({ push: { branches: ['main'] }, pull_request: null });
  expect(workflow.permissions).toEqual({ contents: 'read' });
  const [job, ...more] = Object.values(workflow.jobs);
  expect(more).toEqual([]);
  expect(job?.steps.at(-1)).toEqual({ run: 'bash .ci/run' });
  expect(existsSync(`${ROOT}.ci/run`)).toBe(true);
  // Without the whole history the messages of commits are not checked.
  expect(job?.steps[0]?.with).toMatchObject({ 'fetch-depth': 0 });
});

test('the workflow waits longer than all steps of .ci/run may take together', () => {
  const seconds = [...read('.ci/run').matchAll(/^ *(?:if )?step '.+?' (\d+) /gm)].map(([, limit]) => Number(limit));
  expect(seconds.length).toBeGreaterThan(5);
  const [job] = Object.values(workflow.jobs);
  expect((job?.['timeout-minutes'] ?? 0) * 60).toBeGreaterThan(seconds.reduce((sum, limit) => sum + limit));
});

test('the workflow runs on the oldest Node.js that is supported, on Debian, where tests install what they start', () => {
  const [job] = Object.values(workflow.jobs);
  const [, major] = /^\^(\d+)\./.exec(engines.node) ?? [];
  expect(job?.container.image).toMatch(new RegExp(`^node:${major}-(bookworm|trixie)$`));
});

test('every package that the rules of the update bot name is one that is used here', () => {
  const used = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).map(
    ([name, version]) => /^npm:(.+)@/.exec(version)?.[1] ?? name,
  );
  const { packageRules } = JSON.parse(read('.github/renovate.json')) as {
    readonly packageRules: readonly { readonly matchPackageNames?: readonly string[] }[];
  };
  const named = packageRules.flatMap(({ matchPackageNames = [] }) => matchPackageNames);
  expect(named.filter((name) => name !== 'node' && !used.includes(name))).toEqual([]);
});
