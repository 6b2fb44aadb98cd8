import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { readJournal } from '../support/journal-reader.js';
import { test } from '../support/own-cleanup.js';
import { Pod } from '../support/pod.js';
import type { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

/** The pod that holds the lease of the bridge. */
async function holder(pods: readonly Pod[]): Promise<Pod> {
  return until('a pod to hold the lease', async () => {
    for (const pod of pods) if ((await pod.metric('gateway_bridge_lease')) === 1) return pod;
    return undefined;
  });
}

/** Publishes numbered signals at a steady rate until told to stop; returns the numbers sent. */
async function produce(
  cleanup: Cleanup,
  redis: RedisServer,
  symbol: string,
  everyMs: number,
  running: { now: boolean },
): Promise<number[]> {
  const client = redis.client(cleanup);
  const sent: number[] = [];
  const begin = performance.now();
  for (let n = 0; running.now; n++) {
    const wait = begin + n * everyMs - performance.now();
    if (wait > 1) await sleep(wait);
    // Every tenth is a twin of the one before: two equal messages in a row are two messages.
    const price = n % 10 === 9 ? n - 1 : n;
    await client.publish('new_signal', JSON.stringify(signal(price, { symbol })));
    sent.push(price);
  }
  return sent;
}

/** Brings trouble to the holder of the lease while two producers publish, and looks at what is in the journal. */
async function expectEachOnce(cleanup: Cleanup, trouble: (pod: Pod) => Promise<void>): Promise<void> {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const first = await holder(pods);
  const others = pods.filter((pod) => pod !== first);
  const clients = others.map((pod) => new CheckedClient(cleanup, pod.url, { transports: ['websocket'] }));
  await until('the clients to be connected', () => clients.every((c) => c.socket.connected), { seen: () => clients });

  const running = { now: true };
  const producers = [
    produce(cleanup, redis, 'BTC/USDT', 10, running),
    produce(cleanup, redis, 'ETH/USDT', 10, running),
  ];
  // Long enough for the other pods to have seen the holder at work; nothing is asserted about time.
  await sleep(6000);
  await trouble(first);
  await holder(others);
  await sleep(2000);
  running.now = false;
  const [bitcoin = [], ether = []] = await Promise.all(producers);

  const admin = redis.client(cleanup);
  const total = bitcoin.length + ether.length;
  await until('every message to be in the journal', async () => (await readJournal(admin)).length >= total, {
    seen: () => ({ total }),
  });
  const entries = (await readJournal(admin)).map(({ json }) => JSON.parse(json) as { symbol: string; price: number });
  const of = (symbol: string): number[] => entries.filter((entry) => entry.symbol === symbol).map(({ price }) => price);
  expect(of('BTC/USDT')).toEqual(bitcoin);
  expect(of('ETH/USDT')).toEqual(ether);
  await until('the clients to have it all', () => clients.every((c) => c.got.size === total), { seen: () => clients });
  expect(summary(clients)).toMatchObject({ faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0, reconnects: 0 });
}

// They wait for what happens after seconds, so they wait together.
test.concurrent(
  'when the pod that bridges is killed, every message is in the journal once and each producer keeps its order',
  async ({ cleanup }) => {
    await expectEachOnce(cleanup, async (pod) => {
      await pod.child.kill('SIGKILL');
    });
  },
);

test.concurrent(
  'when the pod that bridges is stopped for 10 s and goes on, nothing is appended twice',
  async ({ cleanup }) => {
    await expectEachOnce(cleanup, async (pod) => {
      await pod.child.kill('SIGSTOP');
      await sleep(10_000);
      await pod.child.kill('SIGCONT');
      // It finds out that it is no longer the holder, and drops what the others have appended.
      await until(
        'the stopped pod to give the bridge up',
        async () => (await pod.metric('gateway_bridge_lease')) === 0,
      );
      await until('the stopped pod to wait for nothing', async () => (await pod.metric('gateway_bridge_waiting')) < 50);
    });
  },
);

test.concurrent('a pod that stops in order hands the bridge over without a pause of the lease', async ({ cleanup }) => {
  await expectEachOnce(cleanup, async (pod) => {
    expect(await pod.child.kill('SIGTERM')).toBe(0);
  });
});

test.concurrent(
  'equal messages all arrive, even if the pod that bridges next had missed one of them',
  async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup);
    const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
    const first = await holder(pods);
    const next = pods.find((pod) => pod !== first);
    if (next === undefined) throw new Error('unreachable');
    const client = new CheckedClient(cleanup, next.url, { transports: ['websocket'] });
    await until('the client to be connected', () => client.last !== undefined, { seen: () => client });
    const admin = redis.client(cleanup);
    let sent = 0;
    const alive = async (): Promise<void> => {
      await admin.publish('status_update', JSON.stringify(status()));
      sent++;
      await until('the status', () => client.got.size === sent, { limit: 30_000, seen: () => ({ sent, client }) });
    };
    await alive();
    const name = ` name=signal-gateway:${next.name}:subscriber `;
    const line = String(await admin.client('LIST'))
      .split('\n')
      .find((one) => one.includes(name));
    const subscription = async (): Promise<number> => Number((await admin.pubsub('NUMSUB', 'status_update'))[1]);
    await admin.client('KILL', 'ID', /^id=(\d+)/.exec(line ?? '')?.[1] ?? '');
    expect(await subscription()).toBe(1);
    await alive();
    await until('the other pod to be subscribed again', async () => (await subscription()) === 2);
    await next.ready();
    await alive();
    await first.child.kill('SIGKILL');
    // Heard by the other pod alone, and appended when it takes the lease over.
    await alive();
    await alive();
    expect(await next.metric('gateway_bridge_lease')).toBe(1);
    expect(summary([client])).toMatchObject({ faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0 });
    expect(await readJournal(admin)).toHaveLength(sent);
  },
);

test.concurrent(
  'what is published while Redis is full is given up after 30 s, counted and logged, and what is younger arrives in order',
  async ({ cleanup }) => {
    const redis = await RedisServer.start(cleanup, ['--maxmemory-policy', 'noeviction']);
    const pod = await Pod.start(cleanup, { REDIS_URL: redis.url });
    await holder([pod]);
    const client = new CheckedClient(cleanup, pod.url, { transports: ['websocket'] });
    await until('the client to be connected', () => client.last !== undefined, { seen: () => client });
    const admin = redis.client(cleanup);
    const publish = (price: number): Promise<number> => admin.publish('new_signal', JSON.stringify(signal(price)));
    await admin.config('SET', 'maxmemory', '1mb');
    await publish(1);
    await publish(2);
    const waits = await until('the log to say that messages wait', () =>
      pod.logs().find(({ msg }) => String(msg).startsWith('messages from Pub/Sub wait')),
    );
    expect(String(waits['reason'])).toMatch(/^OOM /);
    await sleep(25_000);
    await publish(3);
    await until(
      'both to be given up',
      async () => (await pod.metric('gateway_messages_dropped_total', { reason: 'expired' })) === 2,
      { limit: 30_000, seen: () => pod.output() },
    );
    await admin.config('SET', 'maxmemory', '0');
    await publish(4);
    await until('the younger ones', () => client.got.size === 2, { seen: () => client });
    expect((await readJournal(admin)).map(({ json }) => (JSON.parse(json) as { price: number }).price)).toEqual([3, 4]);
    expect(await pod.metric('gateway_messages_dropped_total')).toBe(2);
    const lines = pod.logs().filter(({ msg }) => String(msg).startsWith('messages from Pub/Sub wait'));
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.length).toBeLessThan(6);
  },
);
