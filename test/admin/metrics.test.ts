import { afterEach, expect, test } from 'vitest';
import { FrontDoor } from '../support/front-door.js';
import { httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { Scrape } from '../support/scrape.js';
import { signal, status } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FAT = 'FAT/USDT';
const SIGNALS = 100;

/** Every metric of a pod with Redis; the names do not change. */
const NAMES =
  `connections sessions connects_total refusals_total disconnects_total deliveries_total messages_accepted_total
  messages_rejected_total messages_dropped_total journal_seq reader_lag_entries reader_lag_seconds bridge_lease
  bridge_waiting redis_up publish_to_fanout_seconds fanout_seconds buffered_bytes slow_clients_total recoveries_total
  replayed_entries_total entries_deleted_total event_loop_delay_seconds build_info unhandled_faults_total draining floods_total memory_share subscribes_total
  tls_renewals_total clients_catching_up not_replicated_total redis_faults source_entries_lost_total`
    .split(/\s+/)
    .map((name) => `gateway_${name}`);

/** Entries of the journal that clients got: a status without an offset is none. */
function received(clients: readonly FeedClient[]): number {
  return clients.reduce((sum, c) => sum + c.signals.length + c.statuses.filter(({ length }) => length === 2).length, 0);
}

function connects(clients: readonly FeedClient[]): number {
  return clients.reduce((sum, { welcomes }) => sum + welcomes.length, 0);
}

test(
  'a scrape under load parses as Prometheus text, and its counters agree with what 200 clients counted',
  { timeout: 180_000 },
  async () => {
    const redis = await RedisServer.start(cleanup);
    const env = { REDIS_URL: redis.url, CORS_ORIGIN: 'https://app.example.com' };
    const [quiet, rough] = await Promise.all([
      Pod.start(cleanup, env),
      Pod.start(cleanup, { ...env, SLOW_TIMEOUT: '5000' }),
    ]);
    const btc = { auth: { topics: ['BTC/USDT'] } };
    const open = (url: string, count: number, transport: string, more: object): Promise<FeedClient[]> =>
      Promise.all(
        Array.from({ length: count }, () =>
          FeedClient.connect(cleanup, url, { transports: [transport], timeout: 60_000, ...more }),
        ),
      );
    const steady = [
      ...(await open(quiet.url, 118, 'websocket', btc)),
      ...(await open(quiet.url, 2, 'websocket', {})),
      ...(await open(quiet.url, 40, 'polling', btc)),
    ];
    const cutDoors = await Promise.all(Array.from({ length: 30 }, () => FrontDoor.open(cleanup, [rough])));
    const slowDoors = await Promise.all(Array.from({ length: 10 }, () => FrontDoor.open(cleanup, [rough])));
    const cut = await Promise.all(
      cutDoors.map(async ({ url }, i) => (await open(url, 1, i % 3 === 0 ? 'polling' : 'websocket', btc))[0]),
    );
    const slow = await Promise.all(
      slowDoors.map(async ({ url }) => (await open(url, 1, 'websocket', { auth: { topics: [FAT] } }))[0]),
    );
    const onRough = [...cut, ...slow].filter((client) => client !== undefined);
    const all = [...steady, ...onRough];
    expect(all).toHaveLength(200);

    const begin = await quiet.metric('gateway_journal_seq');
    const producer = redis.client(cleanup);
    const publish = (one: unknown): Promise<number> => producer.publish('new_signal', JSON.stringify(one));
    for (let n = 0; n < SIGNALS; n++) await publish(signal(n));
    await producer.publish('status_update', JSON.stringify(status()));
    for (const bad of ['not JSON', '{}', '[]']) await producer.publish('new_signal', bad);
    expect((await quiet.post('/v1/signals', [signal(SIGNALS), signal(SIGNALS + 1)])).status).toBe(202);
    expect((await quiet.post('/v1/signals', { price: 'none' })).status).toBe(422);
    expect(
      (
        await httpRequest(`${quiet.url}/socket.io/?EIO=4&transport=polling`, {
          headers: { origin: 'https://evil.example' },
        })
      ).status,
    ).toBe(403);

    // A third of what follows is missed by clients that are cut meanwhile.
    for (let n = 0; n < SIGNALS; n++) {
      if (n % 3 === 0) cutDoors[n / 3]?.cut();
      await publish(signal(n));
    }

    // Ten clients stop to read, with more for them than the kernels between take, until each of them has been closed for it.
    for (const door of slowDoors) door.pause();
    const filler = 'x'.repeat(15_000);
    const fat = 600;
    await Promise.all(Array.from({ length: fat }, (_, n) => publish(signal(n, { symbol: FAT, filler }))));
    await until(
      'the slow clients to be closed',
      async () => (await rough.metric('gateway_slow_clients_total')) === slow.length,
      { limit: 60_000 },
    );
    for (const door of slowDoors) door.resume();

    const busy = await Scrape.of(quiet);
    const own = busy.families.filter(({ name }) => name.startsWith('gateway_'));
    expect(own.map(({ name }) => name).toSorted()).toEqual(NAMES.toSorted());
    for (const { name, help, type, metrics } of busy.families) {
      expect([name, help !== '', type !== 'UNTYPED']).toEqual([name, true, true]);
      for (const { value, count, sum } of metrics)
        expect([name, Number(value ?? Number(count) + Number(sum))]).not.toEqual([name, Number.NaN]);
    }
    expect(busy.families.some(({ name }) => name === 'process_resident_memory_bytes')).toBe(true);

    const entries = 2 * SIGNALS + 2 + 1 + fat;
    const wanted = (client: FeedClient, i: number): number =>
      i >= 118 && i < 120 ? entries - 1 : slow.includes(client) ? fat : 2 * SIGNALS + 2;
    await until('every client to be complete', () => all.every((c, i) => c.signals.length === wanted(c, i)), {
      seen: () => all.filter((c, i) => c.signals.length !== wanted(c, i)),
      limit: 60_000,
    });

    const [one, other] = [await Scrape.of(quiet), await Scrape.of(rough)];
    const both = (name: string, labels = {}): number => one.value(name, labels) + other.value(name, labels);
    // The pod whose clients were left in peace: to the last one.
    expect(one.value('gateway_deliveries_total')).toBe(received(steady));
    expect(one.value('gateway_connections', { transport: 'websocket' })).toBe(120);
    expect(one.value('gateway_connections', { transport: 'polling' })).toBe(40);
    expect(one.value('gateway_sessions')).toBe(160);
    expect(one.value('gateway_connects_total')).toBe(connects(steady));
    expect(one.value('gateway_disconnects_total')).toBe(0);
    expect(one.value('gateway_refusals_total', { reason: 'origin' })).toBe(1);
    expect(one.value('gateway_replayed_entries_total')).toBe(0);
    expect(one.value('gateway_fanout_seconds')).toBe(entries);
    // What this pod heard or was asked for; an entry may come out of the journal before its message is heard.
    expect(one.value('gateway_publish_to_fanout_seconds')).toBeGreaterThan(entries / 2);
    expect(one.value('gateway_publish_to_fanout_seconds')).toBeLessThanOrEqual(entries);
    // The one whose clients were cut: what was handed to a client and never read was handed to it again.
    expect(other.value('gateway_deliveries_total')).toBeGreaterThanOrEqual(received(onRough));
    expect(other.value('gateway_connects_total')).toBe(connects(onRough));
    expect(other.value('gateway_disconnects_total')).toBe(connects(onRough) - onRough.length);
    expect(other.value('gateway_disconnects_total', { reason: 'slow client' })).toBe(slow.length);
    expect(other.value('gateway_recoveries_total', { result: 'recovered' })).toBe(connects(onRough) - onRough.length);
    expect(other.value('gateway_replayed_entries_total')).toBeGreaterThan(slow.length);
    expect(other.value('gateway_connections')).toBe(onRough.length);
    // Both of them.
    expect(both('gateway_messages_accepted_total', { source: 'pubsub' })).toBe(entries - 2);
    expect(both('gateway_messages_accepted_total', { source: 'http', event: 'new_signal' })).toBe(2);
    expect(both('gateway_messages_rejected_total', { source: 'pubsub' })).toBe(2 * 3);
    expect(one.value('gateway_messages_rejected_total', { source: 'http', reason: 'shape' })).toBe(1);
    expect(both('gateway_bridge_lease')).toBe(1);
    for (const scrape of [one, other]) {
      expect(scrape.value('gateway_journal_seq')).toBe(begin + entries);
      expect(scrape.value('gateway_redis_up')).toBe(1);
      expect(scrape.value('gateway_build_info')).toBe(1);
      for (const none of [
        'messages_dropped_total',
        'reader_lag_entries',
        'reader_lag_seconds',
        'bridge_waiting',
        'unhandled_faults_total',
        'draining',
        'buffered_bytes',
      ]) {
        expect([none, scrape.value(`gateway_${none}`)]).toEqual([none, 0]);
      }
    }

    // With Redis gone the reading is late, and later the longer it lasts.
    await redis.kill();
    await until('the reading to be late', async () => (await Scrape.of(quiet)).value('gateway_reader_lag_seconds') > 1);
    expect((await Scrape.of(quiet)).value('gateway_redis_up')).toBe(0);
  },
);
