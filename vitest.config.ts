import { defineConfig } from 'vitest/config';

/** Tests that wait more than they compute, and say nothing of time, memory or load: two files of them at a time. */
const TOGETHER = [
  'test/*.test.ts',
  'test/{admin,cli,client,contract,demo,docs,examples,fanout,http,image,ingest,journal,k8s,operations}/**/*.test.ts',
  'test/cluster/{adapter,redis-sentinel}.test.ts',
  'test/websocket/{authentication,compatibility,engine-protocol,subscribe}.test.ts',
];

const ALL = ['test/**/*.test.ts'];

export default defineConfig({
  test: {
    globalSetup: ['test/support/system-programs.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'together', include: TOGETHER, maxWorkers: 2, sequence: { groupOrder: 0 } } },
      // These start processes (Redis, pods, clients) that fill two cores by themselves: one file at a time.
      {
        extends: true,
        test: { name: 'alone', include: ALL, exclude: TOGETHER, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
