import { afterEach, describe, expect, test } from 'vitest';
import { CheckedClient, connected, summary } from '../support/checked-client.js';
import { deleteEntry, deleted, deletedGap, historyOf } from '../support/deletion.js';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { RedisGate } from '../support/redis-gate.js';
import { RedisServer } from '../support/redis.js';
import { journalModes } from '../support/shared-pods.js';
import { signal, status } from '../support/signals.js';
import { TcpForwarder } from '../support/tcp-forwarder.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const NO_FAULTS = { lost: 0, twice: 0, outOfOrder: 0 };

async function post(
  pod: Pod,
  from: number,
  to: number,
  more: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const body = Array.from({ length: to - from + 1 }, (_, i) => signal(from + i, more));
  const answer = await pod.post('/v1/signals', body);
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { offsets: string[] }).offsets;
}

async function start(count: number, url: string): Promise<Pod[]> {
  return Promise.all(Array.from({ length: count }, () => Pod.start(cleanup, { REDIS_URL: url })));
}

function checked(url: string, options = {}): CheckedClient {
  return new CheckedClient(cleanup, url, { transports: ['websocket'], ...options });
}

async function have(clients: readonly CheckedClient[], count: number): Promise<void> {
  await until(`${count} messages at every client`, () => clients.every(({ got }) => got.size >= count), {
    seen: () => clients,
  });
}

/** Waits until a pod has read the journal so far. */
async function readUpTo(pod: Pod, offset: string | undefined): Promise<void> {
  const seq = Number(offset?.split(':')[1]);
  await until('the pod to have read it', async () => (await pod.metric('gateway_journal_seq')) >= seq);
}

/** A client that knows a place of before, as a page does that was reloaded. */
function returning(pod: Pod, offset: string | undefined, options: object = {}): CheckedClient {
  return checked(pod.url, { auth: { pid: 'returning', offset }, ...options });
}

async function threePods(
  kind: 'one Redis' | 'a Redis Cluster',
): Promise<{ url: string; pods: readonly [Pod, Pod, Pod] }> {
  const redis = kind === 'one Redis' ? await RedisServer.start(cleanup) : await RedisCluster.start(cleanup);
  const pods = await start(3, redis.url);
  return { url: redis.url, pods: pods as unknown as readonly [Pod, Pod, Pod] };
}

describe.each(['one Redis', 'a Redis Cluster'] as const)('three pods on %s:', (kind) => {
  test('a message that one of them deletes is gone for clients that reconnect to any pod, and nobody has an unexplained hole', async () => {
    const { url, pods } = await threePods(kind);
    const [first, second] = pods;
    const live = pods.flatMap((pod) => [checked(pod.url), checked(pod.url, { transports: ['polling'] })]);
    const doors = await Promise.all(pods.map((pod) => FrontDoor.open(cleanup, [pod])));
    // They are away until everything that they are to miss has been published and deleted.
    const away = doors.flatMap((door) => [
      checked(door.url, { reconnection: false }),
      checked(door.url, { reconnection: false, auth: { topics: ['BTC/USDT'] } }),
      checked(door.url, { reconnection: false, auth: { topics: ['ETH/USDT'] } }),
    ]);
    await connected([...live, ...away]);
    const before = await post(first, 1, 10);
    await have([...live, ...away.filter((_, i) => i % 3 < 2)], 10);
    for (const door of doors) door.cut();
    await until('the clients to be away', () => away.every(({ socket }) => !socket.connected));
    const missed = await post(first, 11, 20);
    await have(live, 20);
    const gone = [missed[0], missed[4], missed[5], missed[9]];
    for (const offset of gone) await deleted(second, offset);
    // One that those who come back have.
    await deleted(second, before[9]);
    await post(first, 21, 25);
    await have(live, 25);
    for (const { socket } of away) socket.connect();
    await have(
      away.filter((_, i) => i % 3 < 2),
      21,
    );
    // Those who were there had everything, and are not disturbed.
    expect(summary(live)).toMatchObject({ faults: NO_FAULTS, gaps: 0, reconnects: 0 });
    for (const [i, client] of away.entries()) {
      expect(client.reconnects).toEqual([true]);
      expect(client.faultCount).toBe(0);
      // Who would not have got them is told nothing.
      expect(client.gaps).toEqual(i % 3 === 2 ? [] : gone.map(deletedGap));
      for (const offset of gone) expect([...client.got.keys()]).not.toContain(offset);
    }
    const late = await Pod.start(cleanup, { REDIS_URL: url });
    for (const pod of [...pods, late]) {
      await readUpTo(pod, before[9]?.replace(/\d+$/, '25'));
      const page = await historyOf(pod);
      expect(page.entries.map(({ data }) => data.price)).toEqual([
        1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 17, 18, 19, 21, 22, 23, 24, 25,
      ]);
      expect(page.deleted).toEqual([before[9], ...gone]);
      const client = returning(pod, before[8]);
      await have([client], 11);
      expect(client.gaps).toEqual([before[9], ...gone].map(deletedGap));
      expect(client.faultCount).toBe(0);
    }
    expect(await second.metric('gateway_entries_deleted_total')).toBe(5);
    expect(await first.metric('gateway_entries_deleted_total')).toBe(0);
  });
});

describe.each(journalModes(cleanup))('%s,', (_, alone, shared) => {
  test('a client that dies of a message, and comes back for it, gets past it once it is deleted', async () => {
    const gateway = await shared();
    const offsets = await post(gateway, 1, 20);
    await readUpTo(gateway, offsets[19]);
    // It keeps its place only when it has dealt with a message.
    let place = offsets[4];
    let deaths = 0;
    const prices: number[] = [];
    const gaps: unknown[] = [];
    let isRunning = true;
    const live = (): void => {
      const client = new FeedClient(cleanup, gateway.url, {
        auth: { pid: 'poisoned', offset: place },
        reconnection: false,
      });
      client.socket.on('new_signal', ({ price }: { price: number }, offset: string) => {
        if (!client.socket.connected) return;
        if (price === 13) {
          deaths++;
          client.socket.disconnect();
          if (isRunning) live();
          return;
        }
        place = offset;
        prices.push(price);
      });
      client.socket.on('gap', (gap: unknown) => gaps.push(gap));
    };
    live();
    await until('it to die of it again and again', () => deaths >= 5);
    expect(prices.at(-1)).toBe(12);
    await deleted(gateway, offsets[12]);
    await until('it to get past it', () => prices.at(-1) === 20, { seen: () => ({ prices, deaths }) });
    isRunning = false;
    expect(prices).toEqual([6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20]);
    expect(gaps).toEqual([deletedGap(offsets[12])]);
  });

  // More than the buffers of the kernel take, or a client that polls asks for.
  test.each([
    ['websocket', 500],
    ['polling', 200],
  ])('a replay over %s that is under way leaves out what is deleted meanwhile', async (transport, count) => {
    const gateway = await alone({ MAX_BACKPRESSURE: '65536', MAX_SIGNAL_BYTES: '65536' });
    const [place] = await post(gateway, 0, 0);
    const offsets: string[] = [];
    for (let n = 1; n <= count; n += 100)
      offsets.push(...(await post(gateway, n, n + 99, { filler: 'x'.repeat(60_000) })));
    await readUpTo(gateway, offsets[count - 1]);
    const forwarder = await TcpForwarder.open(cleanup, gateway.port);
    const auth = { pid: 'returning', offset: place };
    const client = checked(`http://${HOST}:${forwarder.port}`, { auth, transports: [transport] });
    await have([client], 5);
    forwarder.hold();
    let sent = -1;
    await until('the replay to stand still', async () => {
      const former = sent;
      sent = await gateway.metric('gateway_replayed_entries_total');
      await new Promise((resolve) => setTimeout(resolve, 500));
      return sent === former;
    });
    expect(sent).toBeLessThan(count - 50);
    // It has read a batch of 200 of which these are the next, and they are not sent.
    const gone = [sent, sent + 1, sent + 3, count - 1].map((index) => offsets[index]);
    for (const offset of gone) await deleted(gateway, offset);
    forwarder.release();
    await until('the rest', () => client.got.size === count - 4, { limit: 60_000, seen: () => client });
    await until('the end', () => client.gaps.length === 4, { seen: () => client });
    expect(client.gaps).toEqual(gone.map(deletedGap));
    expect(client.faultCount).toBe(0);
  });

  test('once the newest status of a service is deleted, new clients get neither it nor an older one', async () => {
    const gateway = await shared();
    const publish = async (...all: readonly object[]): Promise<string[]> =>
      ((await (await gateway.post('/v1/status', all)).json()) as { offsets: string[] }).offsets;
    const [old, newest, other] = await publish(
      status('active'),
      status('offline', { message: 'wrong' }),
      status('active', { service: 'Other' }),
    );
    await readUpTo(gateway, other);
    const told = async (): Promise<unknown[]> => {
      const client = await FeedClient.connect(cleanup, gateway.url, { transports: ['websocket'] });
      await post(gateway, 1, 1);
      // Statuses come before whatever is published later.
      await until('the signal', () => client.signals.length > 0);
      return client.statuses.map(([payload]) => (payload as { service: string; status: string }).service);
    };
    await deleted(gateway, old);
    expect(await told()).toEqual(['SignalMonitorWorker', 'Other']);
    await deleted(gateway, newest);
    expect(await told()).toEqual(['Other']);
    const [next] = await publish(status('degraded'));
    await readUpTo(gateway, next);
    expect(await told()).toEqual(['Other', 'SignalMonitorWorker']);
  });

  test('deletions while signals are published and clients reconnect: each client has every message, or is told that it was deleted', async () => {
    const gateway = await shared();
    const doors: FrontDoor[] = [];
    const clients: CheckedClient[] = [];
    for (const transport of ['websocket', 'polling', 'websocket', 'websocket']) {
      const door = await FrontDoor.open(cleanup, [gateway]);
      doors.push(door);
      clients.push(checked(door.url, { transports: [transport] }));
    }
    await connected(clients);
    const offsets: string[] = [];
    const gone = new Set<string>();
    for (let round = 0; round < 40; round++) {
      const added = await post(gateway, round * 25, round * 25 + 24);
      offsets.push(...added);
      if (round % 4 === 0) doors[(round / 4) % 4]?.cut();
      const victims = [added[0], added[24], offsets.at(-40)].filter((one) => one !== undefined && !gone.has(one));
      await Promise.all(victims.map((one) => deleted(gateway, one)));
      for (const one of victims) if (one !== undefined) gone.add(one);
    }
    const [last = ''] = await post(gateway, 5000, 5000);
    await until('the last signal', () => clients.every(({ got }) => got.has(last)), { seen: () => clients });
    for (const client of clients) {
      expect(client.faultCount).toBe(0);
      expect(client.gaps.every(({ reason, resumed }) => reason === 'deleted' && gone.has(resumed))).toBe(true);
      const explained = new Set(client.gaps.map(({ resumed }) => resumed));
      expect(offsets.filter((one) => !client.got.has(one) && !explained.has(one))).toEqual([]);
      expect(client.reconnects.every(Boolean)).toBe(true);
    }
  });
});

test('a pod that reads late never sends a message that was deleted before it came to it, and tells its clients', async () => {
  const redis = await RedisServer.start(cleanup);
  const gate = await RedisGate.open(cleanup, redis.port);
  const [fast] = (await start(1, redis.url)) as [Pod];
  const slow = await Pod.start(cleanup, { REDIS_URL: gate.url });
  const clients = [
    checked(slow.url),
    checked(slow.url, { transports: ['polling'] }),
    checked(slow.url, { auth: { topics: ['ETH/USDT'] } }),
  ];
  await connected(clients);
  gate.hold(':reader');
  // What it has asked for already is on its way.
  await post(fast, 0, 0);
  const offsets = await post(fast, 1, 5);
  const [eth] = await post(fast, 6, 6, { symbol: 'ETH/USDT' });
  for (const offset of [offsets[0], offsets[2], offsets[4]]) await deleted(fast, offset);
  gate.release();
  await until('what is left', () => clients.every(({ got }) => got.has(eth ?? '')), { seen: () => clients });
  const gaps = [offsets[0], offsets[2], offsets[4]].map(deletedGap);
  expect(clients.map((client) => client.gaps)).toEqual([gaps, gaps, []]);
  expect(clients.map(({ got }) => got.size)).toEqual([4, 4, 1]);
  // The third has one symbol only, and leaves numbers out.
  expect(summary(clients.slice(0, 2)).faults).toEqual(NO_FAULTS);
});

test('a pod that has heard a message on Pub/Sub, and reads of its deletion only, does not bring it back as the next bridge', async () => {
  const redis = await RedisServer.start(cleanup);
  const [holder] = (await start(1, redis.url)) as [Pod];
  await until('the bridge', async () => (await holder.metric('gateway_bridge_lease')) === 1);
  const gate = await RedisGate.open(cleanup, redis.port);
  const next = await Pod.start(cleanup, { REDIS_URL: gate.url });
  const client = checked(next.url);
  await connected([client]);
  gate.hold(':reader');
  const publisher = redis.client(cleanup);
  await publisher.publish('new_signal', JSON.stringify(signal(1)));
  // The answer that is held has this one alone; with the next in one batch it would have that too, not deleted yet.
  await until('it to be in the journal', async () => (await historyOf(holder)).entries.length === 1);
  await publisher.publish('new_signal', JSON.stringify(signal(13)));
  await publisher.publish('new_signal', JSON.stringify(signal(2)));
  await until('it to have heard them', async () => (await next.metric('gateway_bridge_waiting')) === 3);
  const { entries } = await until('the holder to have them', async () => {
    const page = await historyOf(holder);
    return page.entries.length === 3 && page;
  });
  await deleted(holder, entries.find(({ data }) => data.price === 13)?.offset);
  gate.release();
  await until('nothing to wait', async () => (await next.metric('gateway_bridge_waiting')) === 0);
  await holder.child.kill('SIGKILL');
  await until('the bridge to change hands', async () => (await next.metric('gateway_bridge_lease')) === 1, {
    limit: 30_000,
  });
  await publisher.publish('new_signal', JSON.stringify(signal(3)));
  await have([client], 3);
  expect([...client.got.values()].map((text) => (JSON.parse(text) as { price: number }).price)).toEqual([1, 2, 3]);
  expect((await historyOf(next)).entries.map(({ data }) => data.price)).toEqual([1, 2, 3]);
}, 60_000);

test('two operators who delete one message at once on two pods are both told that it is deleted', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await start(2, redis.url);
  const [pod] = pods as [Pod, Pod];
  const offsets = await post(pod, 1, 20);
  for (const one of pods) await readUpTo(one, offsets[19]);
  const answers = await Promise.all(
    offsets.flatMap((offset) => pods.map(async (one) => (await (await deleteEntry(one, offset)).json()) as object)),
  );
  for (const offset of offsets) {
    expect(answers.filter((answer) => (answer as { offset: string }).offset === offset)).toEqual(
      expect.arrayContaining([
        { offset, deleted: true, already: false },
        { offset, deleted: true, already: true },
      ]),
    );
  }
  expect((await historyOf(pod)).entries).toEqual([]);
});
