import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { CheckedClient, summary } from '../../support/checked-client.js';
import { Pod } from '../../support/pod.js';
import { PollingSession } from '../../support/polling-session.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { sharedPods } from '../../support/shared-pods.js';
import { signal, status } from '../../support/signals.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
const shared = sharedPods();

/** What python-engineio takes in one answer. */
const MOST = 16;

function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

async function publish(pod: Pod, count: number, from = 0, more: Record<string, unknown> = {}): Promise<void> {
  const response = await pod.post(
    '/v1/signals',
    upTo(count, from).map((price) => signal(price, more)),
  );
  expect(response.status).toBe(202);
}

/** A session that ends with the test. */
async function opened(pod: Pod, connect: string): Promise<PollingSession> {
  const session = await PollingSession.open(pod, connect);
  return cleanup.add(session, (self) => self.post('1').catch(() => {}));
}

/** A session that has got its welcome. */
async function welcomed(pod: Pod, connect = '40'): Promise<PollingSession> {
  const session = await opened(pod, connect);
  await session.pollUntil(() => session.packets.some((packet) => packet.includes('"welcome"')));
  return session;
}

/** The place that a client is at which was there and has left. */
async function offsetOfOneWhoLeft(pod: Pod): Promise<string> {
  const session = await welcomed(pod);
  const welcome = session.packets.find((packet) => packet.includes('"welcome"')) ?? '';
  expect((await session.post('1')).body).toBe('ok');
  return (JSON.parse(welcome.slice(2)) as [string, unknown, string])[2];
}

describe('an answer to a poll has at most 16 packets, and nothing is lost, doubled or out of order', () => {
  test('of a batch of 100 that came between two polls, and what is published after it', async () => {
    const pod = await shared();
    const session = await welcomed(pod);
    await publish(pod, 100);
    await session.poll();
    await publish(pod, 50, 100);
    await session.pollUntil(() => session.prices.length >= 150);
    expect(session.prices).toEqual(upTo(150));
    expect(session.most).toBe(MOST);
    // As full as they may be, or a client far away would need more round trips than necessary.
    expect(session.answers.length).toBeLessThan(1 + 150 / MOST + 5);
  });

  test('of a batch that comes while a poll waits', async () => {
    const pod = await shared();
    const session = await welcomed(pod);
    const waiting = session.poll();
    await publish(pod, 100);
    await waiting;
    await session.pollUntil(() => session.prices.length >= 100);
    expect(session.prices).toEqual(upTo(100));
    expect(session.most).toBe(MOST);
  });

  test('of the statuses of 50 services and the welcome after them', async () => {
    const pod = await Pod.start(cleanup);
    for (const i of upTo(50)) await pod.post('/v1/status', status('active', { service: `service-${i}` }));
    const session = await welcomed(pod);
    const services = (): string[] =>
      session.packets.flatMap((packet) => /"service":"(service-\d+)"/.exec(packet)?.[1] ?? []);
    expect(session.packets[0]).toMatch(/^40\{"sid":/);
    expect(session.packets.at(-1)).toMatch(/^42\["welcome",/);
    expect(services()).toEqual(upTo(50).map((i) => `service-${i}`));
    expect(session.most).toBe(MOST);
  });

  test('of 1,000 signals that a client has missed, and those that are published meanwhile', async () => {
    const pod = await shared();
    const offset = await offsetOfOneWhoLeft(pod);
    await publish(pod, 1000);
    const session = await opened(pod, `40${JSON.stringify({ pid: 'a-client-of-ours', offset })}`);
    await session.pollUntil(() => session.prices.length >= 300);
    await publish(pod, 100, 1000);
    await session.pollUntil(() => session.prices.length >= 1100);
    expect(session.prices).toEqual(upTo(1100));
    expect(session.most).toBe(MOST);
    expect(await pod.metric('gateway_replayed_entries_total')).toBeGreaterThanOrEqual(1000);
  });

  test('of events with attachments, which are packets too', async () => {
    const main = fileURLToPath(new URL('../../support/scenario-pod.mjs', import.meta.url));
    const pod = await Pod.start(cleanup, {}, { main });
    const session = await welcomed(pod);
    // Socket.IO takes ten attachments of one event.
    const places = JSON.stringify(upTo(10).map((num) => ({ _placeholder: true, num }))).slice(1, -1);
    const bytes = (event: number): string[] =>
      upTo(10, 10 * event).map((i) => `b${Buffer.from([i]).toString('base64')}`);
    await session.post(
      upTo(4)
        .flatMap((event) => [`4510-["echo",${places}]`, ...bytes(event)])
        .join('\x1e'),
    );
    await session.pollUntil(() => session.packets.filter((packet) => packet.startsWith('b')).length >= 40);
    expect(session.packets.slice(-44)).toEqual(
      upTo(4).flatMap((event) => [`4510-["echo",${places},0]`, ...bytes(event)]),
    );
    expect(session.most).toBe(MOST);
  });
});

describe('a session that upgrades while packets wait for a poll', () => {
  test('gets them over the WebSocket first, once and in order, and then what is published', async () => {
    const pod = await shared();
    const session = await welcomed(pod);
    await publish(pod, 100);
    await session.poll();
    await session.poll();
    const before = session.prices.length;
    expect(before).toBe(2 * MOST);
    const client = cleanup.add(await RawClient.connect(pod.port), ({ socket }) => socket.destroy());
    await client.open(session.sid);
    await client.send(RawClient.frame('2probe'));
    await client.take('3probe');
    // What comes while the client asks for the upgrade waits behind what was there.
    await publish(pod, 20, 100);
    await session.poll();
    await client.send(RawClient.frame('5'));
    await until('the upgrade', async () => (await pod.metric('gateway_connections', { transport: 'websocket' })) === 1);
    await publish(pod, 10, 120);
    const got = (): number[] =>
      [...client.received.toString('latin1').matchAll(/"price":(\d+)/g)].map(([, price]) => Number(price));
    await until('the last signal', () => got().at(-1) === 129, { seen: got });
    expect([...session.prices, ...got()]).toEqual(upTo(130));
    expect(session.most).toBe(MOST);
  });

  test('misses nothing as a stock client, with signals published before, during and after', async () => {
    const pod = await Pod.start(cleanup);
    const offset = await offsetOfOneWhoLeft(pod);
    await publish(pod, 300);
    const clients = upTo(20).map(
      (i) => new CheckedClient(cleanup, pod.url, { auth: { pid: `client-number-${i}`, offset } }),
    );
    let sent = 300;
    await until(
      'every client to be upgraded',
      async () => {
        await publish(pod, 25, sent);
        sent += 25;
        return clients.every(({ socket }) => socket.io.engine?.transport?.name === 'websocket');
      },
      { seen: () => clients },
    );
    await publish(pod, 25, sent);
    sent += 25;
    await until('every signal at every client', () => clients.every(({ last }) => last?.seq === sent), {
      seen: () => clients,
    });
    expect(summary(clients)).toMatchObject({ faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0, reconnects: 0 });
    for (const { got } of clients) expect(got.size).toBe(sent);
  });
});

describe('what waits for a client to poll is counted until it has been fetched', () => {
  const LIMIT = 200_000;
  const PADDING = 'x'.repeat(900);

  test('a client that polls seldom gets everything, though far more than the limit is published between two polls', async () => {
    const pod = await shared({ MAX_BACKPRESSURE: String(LIMIT) });
    const session = await welcomed(pod);
    for (let from = 0; from < 1000; from += 250) {
      await publish(pod, 250, from, { padding: PADDING });
      await session.poll();
    }
    await session.pollUntil(() => session.prices.length >= 1000);
    expect(session.prices).toEqual(upTo(1000));
    expect(session.most).toBeLessThanOrEqual(MOST);
    expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
  });

  test('a client that polls steadily is not closed, whatever is published, and gets a replay of more than the limit', async () => {
    const pod = await shared({ MAX_BACKPRESSURE: String(LIMIT) });
    const offset = await offsetOfOneWhoLeft(pod);
    await publish(pod, 500, 0, { padding: PADDING });
    const session = await opened(pod, `40${JSON.stringify({ pid: 'a-client-of-ours', offset })}`);
    for (let sent = 500; sent < 1000; sent += 50) {
      await session.pollUntil(() => session.prices.length >= sent);
      await publish(pod, 50, sent, { padding: PADDING });
    }
    await session.pollUntil(() => session.prices.length >= 1000);
    expect(session.prices).toEqual(upTo(1000));
    expect(session.most).toBeLessThanOrEqual(MOST);
    expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
  });
});

test('a session that is closed while packets wait gets them all, and is told then', async () => {
  const pod = await shared();
  const session = await welcomed(pod);
  await publish(pod, 100);
  const sid = /^40\{"sid":"([^"]+)"/.exec(session.packets[0] ?? '')?.[1];
  expect(await (await pod.post('/v1/disconnect', { sid })).json()).toEqual({ disconnected: 1 });
  await session.pollUntil(() => session.packets.includes('1'));
  expect(session.prices).toEqual(upTo(100));
  expect(session.packets.slice(-2)).toEqual(['41', '1']);
  expect(session.most).toBe(MOST);
  await until('the session to be gone', async () => (await pod.metric('gateway_sessions')) === 0);
});

test('a stock client on long-polling gets a recovery of 1,000 and batches of 300, once and in order', async () => {
  const pod = await Pod.start(cleanup);
  const offset = await offsetOfOneWhoLeft(pod);
  await publish(pod, 1000);
  const client = new CheckedClient(cleanup, pod.url, {
    transports: ['polling'],
    auth: { pid: 'stock-client', offset },
  });
  for (let sent = 1000; sent < 1900; sent += 300) {
    await until('all so far', () => client.last?.seq === sent, { seen: () => client });
    await publish(pod, 300, sent);
  }
  await until('the last', () => client.last?.seq === 1900, { seen: () => client });
  expect(client.faultCount).toBe(0);
  expect(client.got.size).toBe(1900);
  expect(client.disconnects).toEqual([]);
});

test('a stock client on long-polling that is sent away while packets wait gets each of them once', async () => {
  const pod = await Pod.start(cleanup);
  const client = new CheckedClient(cleanup, pod.url, { transports: ['polling'], reconnectionDelay: 10 });
  let sent = 0;
  for (let round = 1; round <= 10; round++) {
    await until('a connection', () => client.socket.connected, { seen: () => client });
    const { id: sid } = client.socket;
    const publishing = publish(pod, 40, sent);
    sent += 40;
    await Promise.all([publishing, pod.post('/v1/disconnect', { sid, reconnect: true })]);
    await until('the end of the connection', () => client.disconnects.length === round, { seen: () => client });
  }
  await until('all of them', () => client.last?.seq === sent, { seen: () => client });
  expect(client.got.size).toBe(sent);
  expect(client.faultCount).toBe(0);
});
