import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { noteConsole } from './test/support/no-warnings.js';

/** What takes minutes: `npm run test:long`. */
const LONG = ['test/long/**/*.test.ts'];

/** Tests that load both cores by themselves, or say something of how a share of them is used: one file at a time. */
const ALONE = ['test/bench/{harness,load,servers}/**/*.test.ts'];

/** Files that take longest, most of it waiting for what happens only after seconds: begun first, they wait beside the others. */
const FIRST = [
  'test/cluster/redis-states.test.ts',
  'test/cluster/redis-sentinel.test.ts',
  'test/cli/slow-line.test.ts',
  'test/http/body-pace.test.ts',
  'test/docs/readme-commands.test.ts',
  'test/admin/openapi.test.ts',
  'test/cluster/bridge.test.ts',
  'test/cluster/drain.test.ts',
  'test/journal/redis-journal.test.ts',
];

function placeOf({ moduleId }: TestSpecification): number {
  const index = FIRST.findIndex((name) => moduleId.endsWith(name));
  return index === -1 ? FIRST.length : index;
}

/** The usual order, but for {@link FIRST}. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the sequencer's
    const usual = await super.sort(files);
    return usual.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/system-programs.ts', 'test/support/no-warnings.ts'],
    onConsoleLog: noteConsole,
    testTimeout: 120_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      // They wait more than they compute, for processes of their own: four files at a time fill two cores.
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, ...LONG],
          maxWorkers: 4,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } } },
      { extends: true, test: { name: 'long', include: LONG, maxWorkers: 1, sequence: { groupOrder: 2 } } },
    ],
  },
});
