import { afterEach, expect, test } from 'vitest';
import { CheckedClient, connected, summary } from '../support/checked-client.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const CLIENTS = 30;
const BATCH = 1000;
const PADDING = 'x'.repeat(12_000);
const MISSED = 10_000;

function keyOf(payload: unknown): string {
  return String((payload as { price: number }).price);
}

test('a batch of 12 MB, and a client that reconnects 10,000 entries behind, cost nobody the connection, and all get everything', async () => {
  const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '20000' });
  const away = new CheckedClient(cleanup, pod.url, { transports: ['websocket'], reconnection: false }, keyOf);
  await connected([away]);
  away.socket.io.engine.close();
  for (let from = 0; from < MISSED; from += 1000) {
    const batch = Array.from({ length: 1000 }, (_, i) => signal(from + i));
    expect((await pod.post('/v1/signals', batch)).status).toBe(202);
  }

  const clients = Array.from(
    { length: CLIENTS },
    (_, i) => new CheckedClient(cleanup, pod.url, { transports: i % 10 === 9 ? ['polling'] : ['websocket'] }, keyOf),
  );
  await connected(clients);
  const posted = pod.post(
    '/v1/signals',
    Array.from({ length: BATCH }, (_, i) => signal(MISSED + i, { PADDING })),
  );
  away.socket.connect();
  expect((await posted).status).toBe(202);
  const all = [...clients, away];
  await until(
    'everybody to have everything',
    () => all.every(({ got }) => [...got.values()].at(-1) === String(MISSED + BATCH - 1)),
    {
      limit: 60_000,
      seen: () => all,
    },
  );
  const { bad, ...result } = summary(all);
  expect({ ...result, bad: bad.map((client) => client.toJSON()) }).toEqual({
    faults: { lost: 0, twice: 0, outOfOrder: 0 },
    gaps: 0,
    reconnects: 1,
    recovered: 1,
    bad: [],
  });
  expect(clients.map(({ got }) => got.size)).toEqual(clients.map(() => BATCH));
  expect(away.got.size).toBe(MISSED + BATCH);
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
