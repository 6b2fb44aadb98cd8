import { afterAll } from 'vitest';
import { Pod } from './pod.js';
import { Cleanup } from './processes.js';

/**
 * Pods for the tests of a file that do not disturb each other: one for each environment, started when it is first asked for
 * and stopped after the file. To each test its counters and its log are new (see {@link Pod.visit}); its journal is not.
 *
 * @returns gives a test its pod
 */
export function sharedPods(): (env?: Readonly<Record<string, string>>) => Promise<Pod> {
  const cleanup = new Cleanup();
  const pods = new Map<string, Promise<Pod>>();
  afterAll(() => cleanup.run());
  return async (env = {}) => {
    const key = JSON.stringify(env);
    const pod = pods.get(key) ?? Pod.start(cleanup, env);
    pods.set(key, pod);
    return (await pod).visit();
  };
}
