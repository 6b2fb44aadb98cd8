import type { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { readJournal } from '../support/journal-reader.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisGate } from '../support/redis-gate.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Two pods, of which one subscribed too late to hear the first signal, under a holder that appends nothing. */
interface Scene {
  readonly admin: Redis;
  /** Between Redis and the older pod. */
  readonly gate: RedisGate;
  readonly older: Pod;
  readonly younger: Pod;
  /** What was said on the channel of the canaries. */
  readonly said: readonly string[];
}

async function publish(admin: Redis, price: number): Promise<void> {
  await admin.publish('new_signal', JSON.stringify(signal(price)));
}

async function set(): Promise<Scene> {
  const redis = await RedisServer.start(cleanup);
  const admin = redis.client(cleanup);
  const gate = await RedisGate.open(cleanup, redis.port);
  const said: string[] = [];
  const listener = redis.client(cleanup);
  listener.on('message', (_channel: string, text: string) => said.push(text));
  await listener.subscribe('{gateway}:canary');

  await admin.set('{gateway}:lease', 'of-another', 'PX', 60_000);
  const older = await Pod.start(cleanup, { REDIS_URL: gate.url });
  await publish(admin, 1);
  const younger = await Pod.start(cleanup, { REDIS_URL: redis.url });
  await publish(admin, 2);
  await publish(admin, 3);
  await until('both to wait', async () => {
    const waiting = await Promise.all([older, younger].map((pod) => pod.metric('gateway_bridge_waiting')));
    return waiting.join() === '3,2';
  });
  return { admin, gate, older, younger, said };
}

/** Publishes one signal more. @returns all of them in the order of the journal */
async function prices({ admin, older, younger, said }: Scene): Promise<readonly number[]> {
  await publish(admin, 4);
  await until('all to be in the journal', async () => (await readJournal(admin)).length >= 4, {
    seen: () => ({ older: older.output(), younger: younger.output(), said }),
  });
  expect([older, younger].flatMap((pod) => pod.faults())).toEqual([]);
  return (await readJournal(admin)).map(({ json }) => (JSON.parse(json) as { price: number }).price);
}

test('a pod that subscribed later than another leaves the bridge to it, which has heard what came before', async () => {
  const scene = await set();
  const { admin, gate, said } = scene;
  // The older one asks for the lease, and waits for the answer while it becomes free: the other has it first.
  await until('the older pod to ask', gate.holdAt(':commands', 'evalsha'));
  const before = said.length;
  await admin.del('{gateway}:lease');
  await until('the younger pod to take the lease', () => said.length > before);
  gate.release();
  expect(await prices(scene)).toEqual([1, 2, 3, 4]);
});

test('it does so too while the other is still on its way back to the journal', async () => {
  const scene = await set();
  const { admin, gate, older, said } = scene;
  gate.hold(':reader');
  await older.notReady('redis');
  const before = said.length;
  await admin.del('{gateway}:lease');
  await until('the younger pod to take the lease', () => said.length > before);
  gate.release();
  expect(await prices(scene)).toEqual([1, 2, 3, 4]);
});
