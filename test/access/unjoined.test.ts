import http from 'node:http';
import { expect } from 'vitest';
import { httpRequest } from '../support/http.js';
import { SECRET } from '../support/issuer.js';
import { test } from '../support/own-cleanup.js';
import { FeedClient, Pod } from '../support/pod.js';
import { PollingSession } from '../support/polling-session.js';
import type { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

/** Begins sessions on long-polling over a few TCP connections, and never asks for anything again. */
async function beginSessions(pod: Pod, count: number, connections: number): Promise<Set<number | undefined>> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const statuses = new Set<number | undefined>();
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      http
        .get(`${pod.url}/socket.io/?EIO=4&transport=polling`, { agent }, (res) => {
          statuses.add(res.statusCode);
          res.resume().on('end', resolve);
        })
        .on('error', reject);
    });
  const each = Array.from({ length: connections }, async () => {
    for (let i = 0; i < count / connections; i++) await one();
  });
  await Promise.all(each);
  agent.destroy();
  return statuses;
}

async function silentWebSockets(cleanup: Cleanup, pod: Pod, count: number, frame?: string): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i++) {
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.open();
    if (frame !== undefined) await client.send(RawClient.frame(frame));
    clients.push(client);
  }
  return clients;
}

function notJoined(pod: Pod): Promise<number> {
  return pod.metric('gateway_refusals_total', { reason: 'not_joined' });
}

test.concurrent.for([1, 50])(
  'thousands of long-polling sessions over %i TCP connections that never join keep no client out, and end',
  async (connections, { cleanup }) => {
    const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '500' });
    const early = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'], upgrade: false });
    expect(await beginSessions(pod, 3000, connections)).toEqual(new Set([200]));
    expect(await pod.metric('gateway_sessions')).toBeLessThan(500);
    const clients = await Promise.all(
      (['polling', 'websocket'] as const).map((transport) =>
        FeedClient.connect(cleanup, pod.url, { transports: [transport], upgrade: false }),
      ),
    );
    await until('the sessions to be over', async () => (await pod.metric('gateway_sessions')) === 3, {
      limit: 30_000,
      seen: () => pod.output(),
    });
    expect(await notJoined(pod)).toBe(3000);
    expect(pod.logs().some(({ reason, transport }) => reason === 'not_joined' && transport === 'polling')).toBe(true);
    await pod.post('/v1/signals', signal(1));
    const all = [early, ...clients];
    await until('the signal', () => all.every(({ signals }) => signals.length === 1), { seen: () => all });
    expect(all.flatMap(({ disconnects }) => disconnects)).toEqual([]);
  },
);

test.concurrent('WebSockets that never join leave their places to clients that do', async ({ cleanup }) => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '5' });
  const silent = await silentWebSockets(cleanup, pod, 5);
  const clients: FeedClient[] = [];
  for (let i = 0; i < 5; i++) {
    clients.push(await FeedClient.connect(cleanup, pod.url, { transports: [i % 2 === 0 ? 'websocket' : 'polling'] }));
  }
  await until('the others to be gone', () => silent.every(({ closed }) => closed));
  expect(await notJoined(pod)).toBe(5);
  expect((await httpRequest(`${pod.url}/socket.io/?EIO=4&transport=polling`)).status).toBe(503);
  expect(clients.every(({ socket }) => socket.connected)).toBe(true);
  expect(clients.flatMap(({ disconnects }) => disconnects)).toEqual([]);
});

test.concurrent('clients whose token was refused leave their places too', async ({ cleanup }) => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '3', AUTH: 'jwt', JWT_SECRET: SECRET });
  const refused = await silentWebSockets(cleanup, pod, 3, '40{"token":"wrong"}');
  for (const client of refused) await client.take('44{');
  const late = await until('a place', async () => {
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.send(RawClient.upgrade());
    return (await client.take('\r\n')).includes(' 101 ') && client;
  });
  expect(late.closed).toBe(false);
  expect(await notJoined(pod)).toBe(1);
});

test.concurrent(
  'a session on long-polling that joins when the pod has become full is told to reconnect',
  async ({ cleanup }) => {
    const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '2' });
    const waiting = await PollingSession.begin(pod);
    const polled = waiting.poll();
    const clients = await Promise.all(
      [1, 2].map(() => FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] })),
    );
    await waiting.post('40');
    expect(await polled).toEqual(['1']);
    expect(await pod.metric('gateway_refusals_total', { reason: 'max_connections' })).toBe(1);
    clients[0]?.socket.disconnect();
    await until('a place', async () => (await pod.metric('gateway_sessions')) === 1);
    const next = await PollingSession.open(pod);
    expect((await next.poll())[0]).toMatch(/^40\{"sid"/);
  },
);
