import { expect } from 'vitest';
import { ATTACKS, assail } from './attacks.js';
import { CheckedClient, summary } from './checked-client.js';
import { MEASURED, memoryOf } from './memory.js';
import { Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { Random } from './random.js';
import { signal } from './signals.js';
import { until } from './until.js';

const SIGNALS_A_SECOND = 20;

/** Seconds of each attack, at least, when all of it is carried out. */
const SECONDS = 1;

/**
 * Carries out every attack while honest clients are served, and checks that these miss nothing and that memory returns.
 *
 * @param honest - number of honest clients
 * @param share - of each attack that is carried out, from 0 to 1
 */
export async function expectHonestUnharmed(cleanup: Cleanup, honest: number, share: number): Promise<void> {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: 'https://listed.example' }, { nodeArgs: MEASURED });
  const clients = Array.from(
    { length: honest },
    () => new CheckedClient(cleanup, pod.url, { transports: ['websocket'] }),
  );
  await until('the honest clients', () => clients.every(({ last }) => last !== undefined), { seen: () => clients[0] });
  let sent = 0;
  const producer = setInterval(() => void pod.post('/v1/signals', signal(sent++)), 1000 / SIGNALS_A_SECOND);
  cleanup.add(producer, clearInterval);
  const random = new Random(1);
  const storm = async (part: number): Promise<void> => {
    for (const attack of Object.values(ATTACKS)) {
      const times = Math.ceil(Math.max(attack.rate * SECONDS, attack.atOnce) * part);
      await assail(attack, { port: pod.port, random, times, hold: times < 1000 ? 0 : 2000 });
    }
    await until('the hostile ones to be gone', async () => (await pod.metric('gateway_sessions')) === honest, {
      seen: () => pod.child.stderr,
    });
  };
  // Once before, so that everything that is made only once is there.
  await storm(Math.min(share, 0.2));
  const before = await memoryOf(pod);
  await storm(share);
  const after = await memoryOf(pod);
  expect(after / before).toBeLessThan(1.1);

  clearInterval(producer);
  await until('every signal at every client', () => clients.every(({ last }) => last?.seq === sent), {
    seen: () => [sent, clients.find(({ last }) => last?.seq !== sent)],
  });
  expect(sent).toBeGreaterThan(100);
  expect(summary(clients)).toEqual({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    reconnects: 0,
    recovered: 0,
    bad: [],
  });
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  expect(pod.child.exited).toBe(false);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
  expect(await pod.metric('gateway_floods_total', { kind: 'messages' })).toBeGreaterThan(0);
  expect(await pod.metric('gateway_floods_total', { kind: 'pings' })).toBeGreaterThan(0);
}
