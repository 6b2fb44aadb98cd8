import { afterEach, expect, test } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { FrontDoor } from '../support/front-door.js';
import { readJournal } from '../support/journal-reader.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PERFECT = { faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0 };

async function publish(
  redis: RedisServer,
  from: number,
  to: number,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const producer = redis.client(cleanup);
  for (let n = from; n < to; n++) await producer.publish('new_signal', JSON.stringify(signal(n, more)));
}

async function connect(doors: readonly { url: string }[]): Promise<CheckedClient[]> {
  const clients = doors.map(
    (door, i) => new CheckedClient(cleanup, door.url, { transports: [i % 3 === 0 ? 'polling' : 'websocket'] }),
  );
  await until('the clients to be connected', () => clients.every((c) => c.last !== undefined), { seen: () => clients });
  return clients;
}

test('a Redis that is killed and comes back with its append-only file begins a new epoch, and nobody loses or is told anything', async () => {
  const redis = await RedisServer.start(cleanup, ['--appendonly', 'yes']);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const doors = await Promise.all(Array.from({ length: 6 }, () => FrontDoor.open(cleanup, pods)));
  const clients = await connect(doors);
  await publish(redis, 0, 200);
  await until('the first part', () => clients.every((c) => c.got.size === 200), { seen: () => clients });
  const epoch = clients[0]?.last?.epoch;
  await redis.restart();
  for (const door of doors.slice(0, 3)) door.cut();
  await until('the pods to have lost Redis and found it', async () => {
    for (const pod of pods) await pod.ready();
    return clients.every((c) => c.socket.connected);
  });
  await publish(redis, 200, 400);
  await until('the second part', () => clients.every((c) => c.got.size === 400), { seen: () => clients });
  const epochs = new Set(clients.map((c) => c.last?.epoch));
  expect(epochs.size).toBe(1);
  expect(epochs.has(epoch)).toBe(false);
  const result = summary(clients);
  expect(result).toMatchObject({ ...PERFECT, recovered: result.reconnects });
  const journal = await readJournal(redis.client(cleanup));
  expect(journal.map(({ json }) => (JSON.parse(json) as { price: number }).price)).toEqual(
    Array.from({ length: 400 }, (_, i) => i),
  );
});

test('a Redis that comes back empty begins a new epoch, and the clients of living pods lose nothing', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const doors = await Promise.all(Array.from({ length: 6 }, () => FrontDoor.open(cleanup, pods)));
  const clients = await connect(doors);
  await publish(redis, 0, 200);
  await until('the first part', () => clients.every((c) => c.got.size === 200), { seen: () => clients });
  const old = clients[0]?.last;
  const away = clients[5];
  away?.socket.io.engine.close();
  await redis.restart();
  for (const pod of pods) await pod.ready();
  await publish(redis, 200, 300);
  await until('the second part', () => clients.every((c) => c.got.size === 300), { seen: () => clients });
  for (const door of doors) door.cut();
  await publish(redis, 300, 400);
  await until('the third part', () => clients.every((c) => c.got.size === 400), { seen: () => clients });
  const result = summary(clients);
  expect(result).toMatchObject({ ...PERFECT, recovered: result.reconnects });
  const epochs = new Set(clients.map((c) => c.last?.epoch));
  expect(epochs.size).toBe(1);
  expect(epochs.has(old?.epoch)).toBe(false);

  const fresh = await Pod.start(cleanup, { REDIS_URL: redis.url });
  const offset = `${old?.epoch}:${old?.seq}`;
  const late = new CheckedClient(cleanup, fresh.url, { transports: ['websocket'], auth: { pid: 'late', offset } });
  await until('the gap', () => late.gaps.length === 1, { seen: () => late });
  expect(late.gaps[0]).toMatchObject({ reason: 'epoch', requested: offset });
  await publish(redis, 400, 410);
  await until('signals to go on', () => late.got.size === 10, { seen: () => late });
  expect(late.faultCount).toBe(0);
});

test('a pod that is stopped until Redis drops its subscription continues where it was', async () => {
  const limits = ['--client-output-buffer-limit', 'pubsub', '1mb', '1mb', '1'];
  const redis = await RedisServer.start(cleanup, limits);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await connect(pods);
  await publish(redis, 0, 50);
  await until('the first part', () => clients.every((c) => c.got.size === 50), { seen: () => clients });
  const [stopped] = pods;
  const admin = redis.client(cleanup);
  const subscriptions = async (): Promise<number> => String(await admin.client('LIST')).split(':subscriber').length - 1;
  expect(await subscriptions()).toBe(2);
  await stopped?.child.kill('SIGSTOP');
  const filler = 'x'.repeat(12_000);
  let sent = 50;
  await until(
    'Redis to drop the subscription of the stopped pod',
    async () => {
      await publish(redis, sent, sent + 100, { filler });
      sent += 100;
      return (await subscriptions()) < 2;
    },
    { limit: 40_000, seen: () => sent },
  );
  await stopped?.child.kill('SIGCONT');
  await publish(redis, sent, sent + 50);
  sent += 50;
  await until('both clients to have everything', () => clients.every((c) => c.got.size === sent), {
    limit: 30_000,
    seen: () => ({ sent, clients }),
  });
  const result = summary(clients);
  expect(result).toMatchObject({ ...PERFECT, recovered: result.reconnects });
});

test.each([
  ['a fresh pod comes first', true],
  ['the pod that stood still comes first', false],
])(
  'a pod stands still while others go on, and Redis and those are gone; %s to the empty Redis: its clients are told, and none is cut',
  async (_, isFreshFirst) => {
    const redis = await RedisServer.start(cleanup);
    const [still, other] = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
    if (still === undefined || other === undefined) throw new Error('unreachable');
    const [client] = await connect([still]);
    if (client === undefined) throw new Error('unreachable');
    for (let n = 0; n < 5; n++) expect((await other.post('/v1/signals', signal(n))).status).toBe(202);
    await until('the first part', () => client.got.size === 5, { seen: () => client });
    await still.child.kill('SIGSTOP');
    const beginMs = Date.now();
    let sent = 5;
    while (Date.now() < beginMs + 1000) expect((await other.post('/v1/signals', signal(sent++))).status).toBe(202);
    await other.child.kill();
    await redis.restart();
    const fresh = isFreshFirst ? await Pod.start(cleanup, { REDIS_URL: redis.url }) : undefined;
    await still.child.kill('SIGCONT');
    await until('the pod to have found the new journal', async () => {
      await still.ready();
      return (await redis.client(cleanup).hget('{gateway}:meta', 'epoch')) !== null;
    });
    expect((await (fresh ?? still).post('/v1/signals', signal(sent))).status).toBe(202);
    const prices = (): number[] =>
      [...client.got.values()].map((text) => (JSON.parse(text) as { price: number }).price);
    await until('what comes after', () => prices().includes(sent), { seen: () => client });
    expect(client.gaps).toMatchObject([{ reason: 'epoch', requested: [...client.got.keys()].at(-2) }]);
    expect(client.faultCount).toBe(0);
    expect(client.reconnects).toEqual([]);
  },
);
