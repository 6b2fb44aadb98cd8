import { afterAll } from 'vitest';
import { Pod } from './pod.js';
import { Cleanup } from './processes.js';
import { RedisServer } from './redis.js';

type Env = Readonly<Record<string, string>>;

/** Gives a test a pod. @param which - tells several of one environment apart */
export type PodStart = (env?: Env, which?: number) => Promise<Pod>;

/**
 * Pods for the tests of a file that do not disturb each other: one for each environment, started when it is first asked for
 * and stopped after the file. To each test its counters and its log are new (see {@link Pod.visit}); its journal is not.
 *
 * @param base - what every environment has; asked for once, with what is stopped after the file
 */
export function sharedPods(base: (whole: Cleanup) => Promise<Env> = async () => ({})): PodStart {
  const whole = new Cleanup();
  const pods = new Map<string, Promise<Pod>>();
  let common: Promise<Env> | undefined;
  afterAll(() => whole.run());
  return async (env = {}, which = 0) => {
    common ??= base(whole);
    const all = { ...(await common), ...env };
    const key = JSON.stringify([all, which]);
    const known = await pods.get(key);
    const visited = await known?.visit();
    if (visited !== undefined) return visited;
    const pod = Pod.start(whole, all);
    pods.set(key, pod);
    return pod;
  };
}

async function withRedis(owner: Cleanup): Promise<Env> {
  return { REDIS_URL: (await RedisServer.start(owner)).url };
}

/** The two places where a journal is; how a pod is started for one test alone, and what gives the one that tests share. */
export function journalModes(
  cleanup: Cleanup,
): readonly (readonly [name: string, alone: PodStart, shared: PodStart])[] {
  return [
    ['embedded', (env) => Pod.start(cleanup, env), sharedPods()],
    ['with Redis', async (env) => Pod.start(cleanup, { ...(await withRedis(cleanup)), ...env }), sharedPods(withRedis)],
  ];
}
