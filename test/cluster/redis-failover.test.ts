import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { CheckedClient, summary } from '../support/checked-client.js';
import { FrontDoor } from '../support/front-door.js';
import { readJournal } from '../support/journal-reader.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PERFECT = { faults: { lost: 0, twice: 0, outOfOrder: 0 }, gaps: 0 };
const COMMON = 100;
const LOST = 50;
const AFTER = 100;

test(
  'a failover to a replica that was 50 entries behind begins one new epoch, and nothing after it is skipped or named twice',
  { timeout: 120_000 },
  async () => {
    const redis = await RedisSentinel.start(cleanup, { replicas: 1 });
    const pods = await Promise.all([1, 2, 3].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
    const doors = await Promise.all(Array.from({ length: 6 }, () => FrontDoor.open(cleanup, pods)));
    const clients = doors.map(
      (door, i) => new CheckedClient(cleanup, door.url, { transports: [i % 3 === 0 ? 'polling' : 'websocket'] }),
    );
    await until('the clients to be connected', () => clients.every((c) => c.last !== undefined), {
      seen: () => clients,
    });
    const everyoneHas = (count: number): Promise<unknown> =>
      until(`${count} signals at every client`, () => clients.every((c) => c.got.size === count), {
        seen: () => clients,
      });

    const producer = redis.client(cleanup);
    let sent = 0;
    const publish = async (count: number): Promise<void> => {
      for (const end = sent + count; sent < end; sent++)
        await producer.publish('new_signal', JSON.stringify(signal(sent)));
    };
    const reachable = (): Promise<unknown> =>
      until('the producer to reach the master', () => producer.ping(), { limit: 30_000 });
    await reachable();
    await publish(COMMON);
    await everyoneHas(COMMON);
    const old = clients[0]?.last;
    if (old === undefined) throw new Error('the clients have a place');

    const [master, replica] = redis.servers;
    if (master === undefined || replica === undefined) throw new Error('there are a master and a replica');
    const admin = new Redis({ host: HOST, port: master.port, retryStrategy: () => null });
    cleanup.add(admin, (self) => self.disconnect());
    const behind = new Redis({ host: HOST, port: replica.port });
    cleanup.add(behind, (self) => self.disconnect());
    await until('the replica to have it all', async () => (await readJournal(behind)).length === COMMON);
    // Stopped, and its link cut: what the master sends from here on is not even in the replica's socket.
    await replica.kill('SIGSTOP');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
    await publish(LOST);
    await everyoneHas(COMMON + LOST);
    const lostOffsets = new Set(clients.flatMap((c) => [...c.got.keys()].slice(COMMON)));
    await master.kill();
    await replica.kill('SIGCONT');
    await until('the replica to be the master', async () => (await redis.master()).port === replica.port, {
      limit: 60_000,
    });
    for (const pod of pods) await pod.ready();
    await reachable();

    await publish(AFTER);
    await everyoneHas(COMMON + LOST + AFTER);
    for (const door of doors) door.cut();
    await publish(10);
    await everyoneHas(COMMON + LOST + AFTER + 10);
    const result = summary(clients);
    expect({ ...result, bad: result.bad.map((c) => c.toJSON()) }).toMatchObject({
      ...PERFECT,
      recovered: result.reconnects,
    });

    const journal = await readJournal(behind);
    expect(journal.map(({ json }) => (JSON.parse(json) as { price: number }).price)).toEqual([
      ...Array.from({ length: COMMON }, (_, i) => i),
      ...Array.from({ length: AFTER + 10 }, (_, i) => COMMON + LOST + i),
    ]);
    const newer = journal.slice(COMMON);
    expect(new Set(newer.map(({ epoch }) => epoch)).size).toBe(1);
    expect(newer[0]?.epoch).not.toBe(old.epoch);
    expect(newer.filter(({ offset }) => lostOffsets.has(offset))).toEqual([]);
    const now = `${newer[0]?.epoch}`;
    expect(new Set(clients.map((c) => c.last?.epoch))).toEqual(new Set([now]));

    // A pod that has never seen the lost tail: whoever was before it is served, whoever was in it is told.
    const fresh = await Pod.start(cleanup, { REDIS_URL: redis.url });
    const join = (seq: number): CheckedClient =>
      new CheckedClient(cleanup, fresh.url, {
        transports: ['websocket'],
        auth: { pid: 'from-elsewhere', offset: `${old.epoch}:${seq}` },
      });
    const before = join(old.seq);
    const inside = join(old.seq + LOST);
    await until('the one before to be complete', () => before.got.size === AFTER + 10, { seen: () => before });
    // It has never seen what was lost, and is told so; from there on it is complete.
    expect(before.gaps).toEqual([
      { reason: 'epoch', requested: `${old.epoch}:${old.seq}`, resumed: `${now}:${(newer[0]?.seq ?? 0) - 1}` },
    ]);
    expect(before.faultCount).toBe(0);
    await until('the one inside to be told', () => inside.gaps.length === 1, { seen: () => inside });
    expect(inside.gaps[0]).toMatchObject({ reason: 'epoch', requested: `${old.epoch}:${old.seq + LOST}` });
  },
);
