import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { expectAllRecovered } from '../support/all-recovered.js';
import { CheckedClient } from '../support/checked-client.js';
import { FrontDoor } from '../support/front-door.js';
import { test } from '../support/own-cleanup.js';
import { Pod } from '../support/pod.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

/** Most events in any second. */
function peak(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  let first = 0;
  let most = 0;
  for (const [i, time] of sorted.entries()) {
    while ((sorted[first] ?? time) <= time - 1000) first++;
    most = Math.max(most, i - first + 1);
  }
  return most;
}

test(
  'SIGTERM disconnects 120 clients at an even pace, serves them until then, and they miss nothing on the other pod',
  { timeout: 120_000 },
  async ({ cleanup }) => {
    const CLIENTS = 120;
    const SECONDS = 6;
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, DRAIN_SECONDS: String(SECONDS) };
    const [leaving, staying] = await Promise.all([Pod.start(cleanup, env), Pod.start(cleanup, env)]);
    const pods = [leaving, staying];
    const clients: CheckedClient[] = [];
    for (let i = 0; i < CLIENTS; i++) {
      const door = await FrontDoor.open(cleanup, pods);
      door.use(leaving);
      // One in six over long-polling.
      const transports = i % 6 === 0 ? ['polling'] : ['websocket'];
      const client = new CheckedClient(cleanup, door.url, { transports });
      client.socket.on('disconnect', () => door.use(staying));
      clients.push(client);
    }
    await until('all clients to be connected', () => clients.every((c) => c.last !== undefined), {
      seen: () => clients,
      limit: 60_000,
    });
    expect(await leaving.metric('gateway_connections')).toBe(CLIENTS);
    // Whoever bridged before, the pod that leaves must not be the one in the end.
    const running = { now: true };
    let sent = 0;
    const publishing = (async () => {
      const producer = redis.client(cleanup);
      while (running.now) {
        await producer.publish('new_signal', JSON.stringify(signal(sent++)));
        await sleep(20);
      }
    })();
    const end = leaving.child.kill('SIGTERM');
    await leaving.notReady('draining');
    expect(await leaving.metric('gateway_draining')).toBe(1);
    expect(await end).toBe(0);
    running.now = false;
    await publishing;
    const lastSeq = (): number => Math.max(...clients.map((c) => c.last?.seq ?? 0));
    await until(
      'every client to be complete',
      // The last to go may have missed nothing, and has everything before it is back.
      () => lastSeq() >= sent && clients.every((c) => c.last?.seq === lastSeq() && c.reconnects.length > 0),
      {
        seen: () => clients.filter((c) => c.last?.seq !== lastSeq() || c.reconnects.length === 0),
        limit: 60_000,
      },
    );
    expect(expectAllRecovered(clients).reconnects).toBe(CLIENTS);
    // When the pod let them go: this process, with all its clients, may notice late.
    const gone = leaving.logs().filter(({ msg }) => msg === 'client disconnected');
    expect(gone).toHaveLength(CLIENTS);
    expect(peak(gone.map(({ time }) => Date.parse(String(time))))).toBeLessThanOrEqual((CLIENTS / SECONDS) * 1.5 + 5);
    for (const client of clients) {
      expect(['transport close', 'transport error']).toContain(client.disconnects[0]);
    }
    expect(await staying.metric('gateway_bridge_lease')).toBe(1);
    expect(await staying.metric('gateway_recoveries_total', { result: 'recovered' })).toBe(CLIENTS);
  },
);
