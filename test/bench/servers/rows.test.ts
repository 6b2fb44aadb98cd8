import { afterEach, describe, expect, test } from 'vitest';
import { type ProgramName, unavailable } from '../../../bench/load/programs.js';
import { RunningServer } from '../../../bench/load/servers.js';
import { someoneBridges } from '../../../bench/harness/harness.js';
import { FeedClient } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { RedisServer } from '../../support/redis.js';
import { signal } from '../../support/signals.js';
import { until } from '../../support/until.js';

const ROWS = ['gateway', 'raw', 'stock-uws', 'stock-ws', 'python', 'straight', 'bare-journal'] as const;
/** These take no topics and greet nobody. */
const CONTROLS_OF_INGEST: readonly ProgramName[] = ['straight', 'bare-journal'];
const SIGNALS = 50;
const OFFSET = /^[\w-]{8}:\d+$/;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function start(name: ProgramName, redis: RedisServer): Promise<RunningServer> {
  const server = cleanup.add(await RunningServer.start(name, { redisUrl: redis.url }), (self) => self.stop());
  if (name === 'gateway') await someoneBridges([server]);
  return server;
}

async function connect(server: RunningServer, topics?: readonly string[]): Promise<FeedClient> {
  const client = new FeedClient(cleanup, `http://127.0.0.1:${server.port}`, {
    transports: ['websocket'],
    ...(topics === undefined ? {} : { auth: { topics } }),
  });
  await until('a connection', () => client.socket.connected);
  if (!CONTROLS_OF_INGEST.includes(server.name)) await client.welcomed();
  return client;
}

const rows = ROWS.map((name) => {
  const missing = unavailable(name);
  return [missing === undefined ? name : `${name} (skipped: ${missing})`, { name, missing }] as const;
});

describe.each(rows)('%s', (_title, { name, missing }) => {
  test.skipIf(missing)('delivers what is published in Redis to a stock client, in order', async () => {
    const redis = await RedisServer.start(cleanup);
    const server = await start(name, redis);
    const client = await connect(server);
    const producer = redis.client(cleanup);
    const sent = Array.from({ length: SIGNALS }, (_, price) => signal(price));
    for (const one of sent) await producer.publish('new_signal', JSON.stringify(one));
    await until('the signals', () => client.signals.length >= SIGNALS, { seen: () => client });
    expect(client.signals).toEqual(sent.map((one) => [one, expect.stringMatching(OFFSET)]));
    expect(client.other).toEqual([]);
    expect(client.disconnects).toEqual([]);
    const welcome = [
      { message: 'Successfully connected to Quantum Trader Pro real-time feed.' },
      expect.stringMatching(OFFSET),
    ];
    expect(client.welcomes).toEqual(CONTROLS_OF_INGEST.includes(name) ? [] : [welcome]);
  });

  test.skipIf(missing)('tells its processor time and its memory', async () => {
    const redis = await RedisServer.start(cleanup);
    const server = await start(name, redis);
    expect(server.cpuMillis()).toBeGreaterThan(0);
    await server.resetProbe();
    const { rss, heapUsed, loopDelayP999 } = await until('a delay to be measured', async () => {
      const answer = await server.probe();
      return name === 'python' || answer.loopDelayP999 !== undefined ? answer : undefined;
    });
    expect(rss).toBeGreaterThan(10e6);
    expect(rss).toBeLessThan(500e6);
    if (name === 'python') return;
    expect(heapUsed).toBeGreaterThan(1e6);
    expect(heapUsed).toBeLessThan(rss);
    expect(loopDelayP999).toBeGreaterThanOrEqual(0);
    expect(loopDelayP999).toBeLessThan(10_000);
  });

  if (CONTROLS_OF_INGEST.includes(name)) return;
  test.skipIf(missing)('gives a client the topics it asked for and no others', async () => {
    const redis = await RedisServer.start(cleanup);
    const server = await start(name, redis);
    const picky = await connect(server, ['ETH/USDT', 'BTC/USDT@5m']);
    const all = await connect(server);
    const producer = redis.client(cleanup);
    const sent = [
      signal(1),
      signal(2, { symbol: 'ETH/USDT' }),
      signal(3, { timeframe: '5m' }),
      signal(4, { symbol: 'ETH/USDT', timeframe: '5m' }),
      signal(5, { symbol: 'SOL/USDT' }),
    ];
    for (const one of sent) await producer.publish('new_signal', JSON.stringify(one));
    await until('the last signal', () => all.signals.length === sent.length, { seen: () => all });
    await until('the wanted signals', () => picky.signals.length >= 3, { seen: () => picky });
    expect(all.signals.map(([one]) => one)).toEqual(sent);
    expect(picky.signals.map(([one]) => one)).toEqual(sent.slice(1, 4));
  });
});

function withoutPlace(bytes: string): string {
  return bytes.replace(/[\w-]{8}:\d{16}(?="\]$)/, 'epoch:seq');
}

/** What one signal looks like on the wire of a client that sends as little as it can. */
async function bytesOfSignal(name: 'gateway' | 'raw'): Promise<string> {
  const redis = await RedisServer.start(cleanup);
  const server = await start(name, redis);
  const client = cleanup.add(await RawClient.connect(server.port), (self) => self.abort('RST'));
  await client.open();
  await client.send(RawClient.frame('40'));
  await client.take('42["welcome"');
  await client.take('"]');
  await redis.client(cleanup).publish('new_signal', JSON.stringify(signal(162.5)));
  await until('the signal', () => client.received.includes('"]'));
  return client.received.toString('latin1');
}

test('raw sends the bytes of the gateway, but for the text of the offset', async () => {
  const [gateway, raw] = [await bytesOfSignal('gateway'), await bytesOfSignal('raw')];
  expect(raw).toHaveLength(gateway.length);
  expect(withoutPlace(raw)).toBe(withoutPlace(gateway));
  expect(withoutPlace(raw)).toMatch(/^\x81.{1,3}42\["new_signal",\{.*\},"epoch:seq"\]$/s);
});
