import { afterEach, expect, test } from 'vitest';
import { ATTACKS, assail } from '../support/attacks.js';
import { CheckedClient, summary } from '../support/checked-client.js';
import { MEASURED, memoryOf } from '../support/memory.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { Random } from '../support/random.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HONEST = 200;
const SIGNALS_A_SECOND = 20;

/** Seconds of each attack, at least. */
const SECONDS = 1;

test(`${HONEST} honest clients miss nothing while hostile ones do their worst, and its traces go`, async () => {
  const pod = await Pod.start(cleanup, { CORS_ORIGIN: 'https://listed.example' }, { nodeArgs: MEASURED });
  const clients = Array.from(
    { length: HONEST },
    () => new CheckedClient(cleanup, pod.url, { transports: ['websocket'] }),
  );
  await until('the honest clients', () => clients.every(({ last }) => last !== undefined), { seen: () => clients[0] });
  let sent = 0;
  const producer = setInterval(() => void pod.post('/v1/signals', signal(sent++)), 1000 / SIGNALS_A_SECOND);
  cleanup.add(producer, clearInterval);
  const random = new Random(1);
  const storm = async (share: number): Promise<void> => {
    for (const attack of Object.values(ATTACKS)) {
      const times = Math.ceil(Math.max(attack.rate * SECONDS, attack.atOnce) * share);
      await assail(attack, { port: pod.port, random, times, hold: times < 1000 ? 0 : 2000 });
    }
    await until('the hostile ones to be gone', async () => (await pod.metric('gateway_sessions')) === HONEST, {
      seen: () => pod.child.stderr,
    });
  };
  // Once before, so that everything that is made only once is there.
  await storm(0.2);
  const before = await memoryOf(pod);
  await storm(1);
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
}, 150_000);
