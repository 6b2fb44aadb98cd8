import { afterEach, describe, expect, test } from 'vitest';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { PollingSession } from '../support/polling-session.js';
import { Cleanup } from '../support/processes.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SERVICES = 1000;
/** All statuses together are more than the kernels between a pod and a client take. */
const MESSAGE = 'm'.repeat(10_000);

/** A pod that knows a status of each service. */
async function start(): Promise<Pod> {
  const pod = await Pod.start(cleanup);
  for (let from = 0; from < SERVICES; from += 250) {
    const batch = Array.from({ length: 250 }, (_, i) =>
      status('active', { service: `s-${from + i}`, message: MESSAGE }),
    );
    expect((await pod.post('/v1/status', batch)).status).toBe(202);
  }
  return pod;
}

function services(client: FeedClient): Set<string> {
  return new Set(client.statuses.map(([payload]) => (payload as { service: string }).service));
}

describe('a fresh client of a pod with 1,000 large statuses', () => {
  test('whose connection ends amid them gets all of them, and what is published, when it is back', async () => {
    const pod = await start();
    const door = await FrontDoor.open(cleanup, [pod]);
    const client = new FeedClient(cleanup, door.url, { transports: ['websocket'] });
    client.socket.on('status_update', () => {
      if (client.statuses.length === 10) door.pause();
    });
    await until('some statuses', () => client.statuses.length >= 10, { seen: () => services(client).size });
    expect(client.statuses.length).toBeLessThan(SERVICES);
    expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
    door.cut();
    await client.welcomed();
    expect(client.disconnects).toHaveLength(1);
    expect(services(client).size).toBe(SERVICES);
    expect(client.socket.recovered).toBe(false);
    expect((await pod.post('/v1/signals', signal(2))).status).toBe(202);
    await until('the signal', () => client.signals.length === 1, { seen: () => client.signals });
    expect(client.signals.map(([payload]) => (payload as { price: number }).price)).toEqual([2]);
    expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
  });

  test.each(['websocket', 'polling'])(
    'gets them over %s before the first offset, and then what came meanwhile',
    async (transport) => {
      const pod = await start();
      const heard: (string | undefined)[] = [];
      const client = new FeedClient(cleanup, pod.url, { transports: [transport] });
      client.socket.onAny((event: string, ...args: unknown[]) => heard.push(args.length > 1 ? event : undefined));
      await until('the first status', () => heard.length > 0);
      expect((await pod.post('/v1/signals', signal(1))).status).toBe(202);
      await until('the signal', () => client.signals.length === 1, { limit: 60_000, seen: () => heard.length });
      expect(heard.indexOf('welcome')).toBe(SERVICES);
      expect(heard.slice(SERVICES)).toEqual(['welcome', 'new_signal']);
      expect(services(client).size).toBe(SERVICES);
      expect(client.disconnects).toEqual([]);
    },
  );
});

test('a greeting that fits leaves with the answer to CONNECT: on long-polling it costs no round trip', async () => {
  const pod = await Pod.start(cleanup);
  expect((await pod.post('/v1/status', status())).status).toBe(202);
  const session = await PollingSession.open(pod);
  const packets = await session.poll();
  expect(packets.map((packet) => packet.slice(0, 12))).toEqual([
    expect.stringMatching(/^40/),
    '42["status_u',
    '42["welcome"',
  ]);
});
