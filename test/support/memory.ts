import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from './pod.js';
import { until } from './until.js';

/** Arguments of Node.js for a pod whose memory is measured. */
export const MEASURED = ['--expose-gc', '--require', fileURLToPath(new URL('gc-on-signal.cjs', import.meta.url))];

/** Bytes that a pod started with {@link MEASURED} needs: what is left of its heap after the garbage is gone. */
export async function memoryOf(pod: Pod): Promise<number> {
  return (await memory(pod)).used;
}

/** As {@link memoryOf}, and the bytes that the kernel counts for the process then. */
export async function memory(pod: Pod): Promise<{ used: number; rss: number }> {
  const seen = (): string[] => pod.child.stderr.match(/^memory .*$/gm) ?? [];
  let used = Infinity;
  let rss = Infinity;
  // What finalizers let go is gone only after another collection.
  for (let i = 0; i < 3; i++) {
    const before = seen().length;
    pod.child.process.kill('SIGUSR2');
    await until('the memory', () => seen().length > before);
    const now = JSON.parse((seen().at(-1) ?? '').slice('memory '.length)) as Record<string, number>;
    used = Math.min(used, (now['heapUsed'] ?? 0) + (now['external'] ?? 0));
    rss = Math.min(rss, now['rss'] ?? Infinity);
    await sleep(100);
  }
  return { used, rss };
}
