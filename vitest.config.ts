import { defineConfig } from 'vitest/config';
import { noteConsole } from './test/support/no-warnings.js';

/** Tests that wait more than they compute, and say nothing of time, memory or load: two files of them at a time. */
const TOGETHER = [
  'test/*.test.ts',
  'test/{admin,app,ci,cli,client,config,contract,delivery,demo,deploy,docs,examples,ingest,journal,redis}/**/*.test.ts',
  'test/access/{bearer,client-address,expiry,rate-limit,refusal-log,token-verifier}.test.ts',
  'test/cluster/{adapter,redis-sentinel}.test.ts',
  'test/http/{body-pace,certificate-watch,error-boundary,keep-alive,request-head,send-body}.test.ts',
  'test/websocket/compatibility.test.ts',
  'test/websocket/engine/engine-protocol.test.ts',
];

const ALL = ['test/**/*.test.ts'];

export default defineConfig({
  test: {
    globalSetup: ['test/support/system-programs.ts', 'test/support/no-warnings.ts'],
    onConsoleLog: noteConsole,
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
