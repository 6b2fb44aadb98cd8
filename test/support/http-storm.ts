import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { parseOffset } from '../../src/contract/offset.js';
import { CheckedClient, summary } from './checked-client.js';
import { LISTED } from './http-fuzz.js';
import { HostileConnection } from './http-hostile.js';
import { FaultBook } from './http-judge.js';
import { MEASURED, memory } from './memory.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { signal } from './signals.js';
import { until } from './until.js';

const AT_ONCE = 50;
const SIGNALS_A_SECOND = 20;
/** So many more open files are those of connections that are kept for the metrics. */
const KEPT_FILES = 10;

function openFiles(pod: Pod): number {
  return readdirSync(`/proc/${pod.child.process.pid}/fd`).length;
}

/** Sends fuzzed HTTP requests to both ports, twice as many as are asked for: memory is compared after each half. */
export async function expectHttpFuzzHarmless(cleanup: Cleanup, requests: number, seed: number): Promise<void> {
  const env = {
    CORS_ORIGIN: LISTED.join(),
    // What proxies say of addresses is read.
    TRUST_PROXY: '1',
    MAX_CONNECTIONS_PER_IP: '1000000',
    MAX_CONNECTS_PER_SECOND_PER_IP: '1000000',
    // Who leaves a session is soon forgotten.
    PING_INTERVAL: '1000',
    PING_TIMEOUT: '8000',
    // What is published by the fuzz is in memory, too.
    JOURNAL_MAXLEN: '100',
  };
  const pod = await Pod.start(cleanup, env, { nodeArgs: MEASURED });
  const transports = [['websocket'], ['polling'], ['polling', 'websocket']];
  const clients = transports.map((each) => new CheckedClient(cleanup, pod.url, { transports: each }));
  await until('the honest clients', () => clients.every(({ last }) => last !== undefined), { seen: () => clients });
  await until('the upgrade', () => clients.at(-1)?.socket.io.engine.transport.name === 'websocket');
  const sids = [clients[0], clients[2]].map((client) => client?.socket.io.engine.id ?? '');
  let published = 0;
  const producer = setInterval(() => {
    void pod.post('/v1/signals', signal(published++)).catch(() => {});
  }, 1000 / SIGNALS_A_SECOND);
  cleanup.add(producer, clearInterval);

  const faults = new FaultBook();
  const open = new Set<HostileConnection>();
  const opened: string[] = [];
  let i = 0;
  const storm = async (): Promise<void> => {
    let left = requests;
    const oneAfterTheOther = async (): Promise<void> => {
      while (left > 0) {
        const connection = new HostileConnection({ pod, seed: seed, i: i++, honest: sids, opened, faults });
        open.add(connection);
        const sent = await connection.run();
        left -= sent;
        open.delete(connection);
      }
    };
    const all = Array.from({ length: AT_ONCE }, oneAfterTheOther);
    const ended = pod.child.exit.then((how) => {
      throw new Error(`the pod ended (${how}) of one of these:\n${[...open].join('\n')}\n${pod.child.stderr}`);
    });
    await Promise.race([Promise.all(all), ended]).catch(async (error: unknown) => {
      // Of a pod that ends, its clients know first.
      await Promise.race([ended, sleep(2000)]);
      throw error;
    });
  };
  const alone = (): Promise<unknown> =>
    until('the hostile ones to be gone', async () => (await pod.metric('gateway_sessions')) === clients.length, {
      seen: () => pod.child.stderr,
      limit: 45_000,
    });
  // Once before, so that everything that is made only once is there: compiled code, counters of every reason.
  await storm();
  await alone();
  const before = { ...(await memory(pod)), files: openFiles(pod) };
  await storm();
  clearInterval(producer);

  expect(faults.lines()).toEqual([]);
  await alone();
  await until('their connections to be gone', () => openFiles(pod) <= before.files + KEPT_FILES);
  const after = await memory(pod);
  expect(after.used / before.used).toBeLessThan(1.1);
  expect(after.rss / before.rss).toBeLessThan(1.5);

  const response = await pod.post('/v1/signals', signal(published));
  const { offsets } = (await response.json()) as { offsets: string[] };
  const seq = parseOffset(offsets[0] ?? '')?.seq;
  await until('every signal at every client', () => clients.every(({ last }) => last?.seq === seq), {
    seen: () => clients,
  });
  expect(summary(clients)).toMatchObject({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    reconnects: 0,
    bad: [],
  });
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  expect(pod.child.exited).toBe(false);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
}
