import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { Cleanup } from '../support/processes.js';

const CHECK = fileURLToPath(new URL('../../.ci/commits', import.meta.url));
const LONG = 'A subject that goes on and on, since whoever wrote it could not end it in time';
const WHY = 'Somebody needs it.';

const cleanup = new Cleanup();

afterEach(() => cleanup.run());

/** Nothing of the machine's own settings. */
const ENV = {
  ...process.env,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Ann',
  GIT_AUTHOR_EMAIL: 'ann@example.com',
  GIT_COMMITTER_NAME: 'Ann',
  GIT_COMMITTER_EMAIL: 'ann@example.com',
};

/** A repository with one commit from before the rule, which is the baseline. */
class Repository {
  readonly path: string;
  readonly #baseline: string;
  #files = 0;

  constructor(
    path = cleanup.add(mkdtempSync(join(tmpdir(), 'commits-')), (self) => rmSync(self, { recursive: true })),
  ) {
    this.path = path;
    this.git('init', '--quiet', '--initial-branch=main');
    this.commit(`${LONG}, as they were before`);
    this.#baseline = this.tree();
  }

  git(...args: readonly string[]): string {
    return execFileSync('git', args, { cwd: this.path, env: ENV, encoding: 'utf8', stdio: 'pipe' }).trim();
  }

  commit(...paragraphs: readonly string[]): void {
    writeFileSync(join(this.path, `${++this.#files}.txt`), '');
    this.git('add', '.');
    this.git('commit', '--quiet', ...paragraphs.flatMap((text) => ['-m', text]));
  }

  tree(): string {
    return this.git('log', '-1', '--format=%T');
  }

  /** Runs the check. @param path - in a clone of it */
  check(path = this.path): { status: number | null; said: string } {
    const env = { ...ENV, COMMITS_BASELINE_TREE: this.#baseline };
    const { status, stdout, stderr } = spawnSync('bash', [CHECK], { cwd: path, env, encoding: 'utf8' });
    return { status, said: stdout + stderr };
  }

  /** Clones it, with `origin` set. */
  clone(...options: readonly string[]): string {
    const path = `${this.path}-clone`;
    cleanup.add(path, (self) => rmSync(self, { recursive: true, force: true }));
    this.git('clone', '--quiet', ...options, `file://${this.path}`, path);
    return path;
  }
}

test('new commits with a short subject and a reason pass, in any script', () => {
  const repository = new Repository();
  repository.commit('Clients that reconnect get what they missed', WHY);
  repository.commit('ü'.repeat(72), WHY, 'Signed-off-by: Ann <ann@example.com>');
  expect(repository.check()).toEqual({ status: 0, said: 'commits: 2 checked, 0 with a bad message\n' });
});

test('each new commit with a bad message is named, with what is wrong and what to do', () => {
  const repository = new Repository();
  repository.commit(LONG, WHY);
  repository.commit('It says no reason', 'Signed-off-by: Ann <ann@example.com>');
  repository.commit('The reason follows\nwithout a blank line');
  repository.commit('A good one', WHY);
  const { status, said } = repository.check();
  expect(status).toBe(1);
  expect(said).toMatch(`: ${LONG}\n  the subject has ${LONG.length} characters; write at most 72\n`);
  expect(said).toMatch(': It says no reason\n  there is no body; say why the change was made\n');
  expect(said).toMatch('  the second line is not blank; put a blank line below the subject\n');
  expect(said).toContain('commits: 4 checked, 3 with a bad message\nChange them with "git rebase -i"');
});

test('merges and reverts pass with the messages that git gives them', () => {
  const repository = new Repository();
  repository.git('checkout', '--quiet', '-b', 'side');
  repository.commit('A subject of seventy-two characters '.repeat(2), WHY);
  repository.git('checkout', '--quiet', 'main');
  repository.git('merge', '--quiet', '--no-ff', '-m', `${LONG} ${LONG}`, 'side');
  repository.git('revert', '--no-edit', 'side');
  expect(repository.check()).toEqual({ status: 0, said: 'commits: 2 checked, 0 with a bad message\n' });
});

test('a commit that has landed with a bad message passes once it is named as accepted', () => {
  const repository = new Repository();
  repository.commit(LONG);
  const tree = repository.tree();
  expect(repository.check().status).toBe(1);
  mkdirSync(join(repository.path, '.ci'));
  writeFileSync(join(repository.path, '.ci/commits.accepted'), `# Landed.\n${tree} it came from elsewhere\n`);
  repository.commit('The commit before is accepted', WHY);
  expect(repository.check()).toMatchObject({ status: 0 });
});

test('on a branch the commits are checked that the default branch of origin does not have', () => {
  const repository = new Repository();
  repository.commit(LONG);
  const clone = repository.clone();
  execFileSync('git', ['checkout', '--quiet', '-b', 'mine'], { cwd: clone, env: ENV });
  execFileSync('git', ['commit', '--quiet', '--allow-empty', '-m', 'Mine', '-m', WHY], { cwd: clone, env: ENV });
  expect(repository.check(clone)).toEqual({ status: 0, said: 'commits: 1 checked, 0 with a bad message\n' });
});

test('a clean checkout of the default branch is checked from the baseline on, also with other authors and hashes', () => {
  const repository = new Repository();
  repository.commit('A good one', WHY);
  repository.commit(LONG, WHY);
  const rewrite = ['filter-branch', '-f', '--env-filter', 'export GIT_AUTHOR_NAME=Bob', 'HEAD'];
  execFileSync('git', rewrite, {
    cwd: repository.path,
    env: { ...ENV, FILTER_BRANCH_SQUELCH_WARNING: '1' },
    stdio: 'pipe',
  });
  expect(repository.check(repository.clone())).toMatchObject({
    status: 1,
    said: expect.stringContaining('commits: 2 checked, 1 with a bad message') as string,
  });
});

test('a history that does not reach the baseline is not checked, and the check says so', () => {
  const repository = new Repository();
  repository.commit(LONG);
  repository.commit(`${LONG} again`);
  expect(repository.check(repository.clone('--depth=1'))).toEqual({
    status: 0,
    said: expect.stringContaining('commits: nothing was checked, since the history has neither the baseline') as string,
  });
});
