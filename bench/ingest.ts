import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type Histogram, build } from 'hdr-histogram-js';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { type Socket, io } from 'socket.io-client';
import { RedisJournal } from '../src/journal/redis-journal.js';
import { Cleanup } from '../test/support/processes.js';
import { RedisServer } from '../test/support/redis.js';
import { nowMicros, signalText } from './load/message.js';
import { RunningServer } from './load/servers.js';

/** Signals a second in the latency part; low, so that what is measured is the way and not a queue. */
const RATE = 200;
const BATCH = 500;
const BATCHES_IN_FLIGHT = 4;

/** One client of a server: the time each signal took from its `PUBLISH`. */
class TimedClient {
  readonly latency: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  received = 0;
  readonly #socket: Socket;

  constructor(port: number) {
    this.#socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true });
    this.#socket.on('new_signal', ({ at }: { at: string }) => {
      this.received++;
      this.latency.recordValue(Math.max(1, nowMicros() - Number(at)));
    });
  }

  async connected(): Promise<void> {
    while (!this.#socket.connected) await sleep(10);
  }

  close(): void {
    this.#socket.disconnect();
  }
}

function micros(histogram: Histogram): Record<string, number> {
  return {
    'p50 µs': histogram.getValueAtPercentile(50),
    'p90 µs': histogram.getValueAtPercentile(90),
    'p99 µs': histogram.getValueAtPercentile(99),
    signals: histogram.totalCount,
  };
}

/** What the journal adds to the way of a signal from `PUBLISH` to one client, against a straight emit, signal by signal in turn. */
async function latency(redis: RedisServer, seconds: number, cleanup: Cleanup): Promise<boolean> {
  const from = { redisUrl: redis.url };
  const rows: { name: string; channel: string; client: TimedClient }[] = [];
  for (const [name, channel] of [
    ['straight', 'straight'],
    ['gateway', 'new_signal'],
  ] as const) {
    const env = { SIGNAL_CHANNEL: channel };
    const server = cleanup.add(await RunningServer.start(name, { ...from, env }), (self) => self.stop());
    const client = cleanup.add(new TimedClient(server.port), (self) => self.close());
    await client.connected();
    rows.push({ name, channel, client });
  }
  const producer = redis.client(cleanup);
  // The bridge takes its lease; what is published before that would be counted as latency.
  await sleep(1000);
  const warmUp = RATE;
  const total = RATE * (seconds + 1);
  for (let n = 0; n < total; n++) {
    if (n === warmUp) for (const { client } of rows) client.latency.reset();
    for (const { channel } of rows) {
      // Turn by turn and not by a timer: a processor that was let to sleep takes longer to wake up than all of this takes.
      const due = nowMicros() + 1e6 / RATE / rows.length;
      while (nowMicros() < due) await setImmediate();
      await producer.publish(channel, signalText(n, nowMicros()));
    }
  }
  await sleep(500);
  console.table(rows.map(({ name, client }) => ({ server: name, ...micros(client.latency) })));
  const [straight = NaN, gateway = NaN] = rows.map(({ client }) => client.latency.getValueAtPercentile(50));
  console.log(`the journal adds ${((gateway - straight) / 1000).toFixed(3)} ms at the median`);
  return rows.every(({ client }) => client.received === total);
}

function nothing(): void {}

/** How many appends a second one pod reads back, while this process appends as fast as Redis takes them. */
async function ceiling(redis: RedisServer, seconds: number, cleanup: Cleanup): Promise<void> {
  const server = cleanup.add(await RunningServer.start('gateway', { redisUrl: redis.url }), (self) => self.stop());
  const commands = cleanup.add(new Redis(redis.url), (self) => self.disconnect());
  const journal = new RedisJournal({
    commands,
    keyPrefix: 'gateway',
    pod: 'bench',
    maxlen: 100_000,
    listener: { onEntry: nothing, onGap: nothing, onJoined: nothing },
    log: pino({ level: 'silent' }),
  });
  const read = async (): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${server.adminPort}/metrics`)).text();
    return Number(/^gateway_journal_seq (\d+)/m.exec(text)?.[1] ?? 0);
  };
  const message = {
    event: 'new_signal' as const,
    json: signalText(1, nowMicros()),
    symbol: 'BTC/USDT',
    timeframe: '1m',
  };
  const batch = Array.from({ length: BATCH }, () => message);
  const first = await read();
  const begin = performance.now();
  let appended = 0;
  let last = 0;
  await Promise.all(
    Array.from({ length: BATCHES_IN_FLIGHT }, async () => {
      while (performance.now() - begin < seconds * 1000) {
        const offsets = await journal.append(batch);
        appended += offsets.length;
        last = Math.max(last, offsets.at(-1)?.seq ?? 0);
      }
    }),
  );
  const appendSeconds = (performance.now() - begin) / 1000;
  while ((await read()) < last) await sleep(5);
  const readSeconds = (performance.now() - begin) / 1000;
  console.table([
    {
      appended,
      'appends/s': Math.round(appended / appendSeconds),
      'read back/s': Math.round((last - first) / readSeconds),
      'reader late by ms at the end': Math.round((readSeconds - appendSeconds) * 1000),
    },
  ]);
}

/** The `ingest` scenario. Returns whether every signal arrived. */
export async function ingestScenario({ seconds, runs }: { seconds: number; runs: number }): Promise<boolean> {
  let good = true;
  for (let i = 0; i < runs; i++) {
    const cleanup = new Cleanup();
    try {
      const redis = await RedisServer.start(cleanup);
      console.log(`\ningest: PUBLISH to one client, ${RATE} signals/s in turn, ${seconds} s after 1 s of warm-up`);
      good = (await latency(redis, seconds, cleanup)) && good;
      await cleanup.run();
      const fresh = await RedisServer.start(cleanup);
      console.log(`ingest: appends in batches of ${BATCH}, read back by one pod`);
      await ceiling(fresh, seconds, cleanup);
    } finally {
      await cleanup.run();
    }
  }
  return good;
}
