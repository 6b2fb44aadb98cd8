import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Socket, io } from 'socket.io-client';
import { HOST } from '../../test/support/processes.js';
import { nowMicros } from '../load/message.js';
import type { Run } from '../result.js';
import type { Progress, Scenario } from '../scenario.js';
import { UsageMeter, interleave, loadOf, withServers } from '../harness/harness.js';
import { limitedBy } from '../harness/summary.js';

/** The rows: values of the variable `COMPRESSION`. */
const WAYS = ['off', 'shared', 'dedicated'] as const;
type Way = (typeof WAYS)[number];

/** Signals before those that are counted, so that the code is compiled and a client's compressor has seen some. */
const WARM_UP = 50;
const SETTLE_LIMIT_MS = 10_000;
const REST_MS = 500;
const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'XRP/USDT', 'ADA/USDT', 'DOGE/USDT', 'LTC/USDT', 'DOT/USDT'];

/** A signal as a back end would send it: padding would make it look easier to compress than it is. */
function signalText(n: number): string {
  // A multiplier of Knuth's, so that numbers that follow each other look unlike.
  const mixed = Math.imul(n + 1, 2_654_435_761) >>> 0;
  return JSON.stringify({
    type: 'QUANTUM_CIPHER',
    signal: mixed % 2 === 0 ? 'BUY' : 'SELL',
    price: (mixed % 10_000_000) / 100,
    symbol: SYMBOLS[mixed % SYMBOLS.length],
    timeframe: '1m',
    timestamp: new Date(1_700_000_000_000 + (mixed % 1_000_000_000)).toISOString(),
  });
}

/** A stock client that takes compressed messages, and counts. */
class Client {
  received = 0;
  outOfOrder = 0;
  readonly socket: Socket;
  #last = 0;

  constructor(port: number) {
    this.socket = io(`http://${HOST}:${port}`, {
      forceNew: true,
      transports: ['websocket'],
      perMessageDeflate: { threshold: 0 },
    });
    this.socket.on('new_signal', (_signal: unknown, offset: string) => {
      const seq = Number(offset.slice(offset.indexOf(':') + 1));
      if (this.#last !== 0 && seq !== this.#last + 1) this.outOfOrder++;
      this.#last = seq;
      this.received++;
    });
  }

  /** Bytes read from the connection so far. */
  get bytes(): number {
    const { transport } = this.socket.io.engine as unknown as {
      transport: { ws?: { _socket: { bytesRead: number } | null } };
    };
    return transport.ws?._socket?.bytesRead ?? 0;
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + SETTLE_LIMIT_MS;
  while (!condition() && Date.now() < deadline) await sleep(10);
}

/** Which signals are published, and how many a second. */
interface Signals {
  readonly from: number;
  readonly count: number;
  readonly rate: number;
}

async function publish(redis: Redis, { from, count, rate }: Signals): Promise<void> {
  const begin = nowMicros();
  for (let i = 0; i < count; i++) {
    await sleep(Math.max(0, (begin + (i / rate) * 1e6 - nowMicros()) / 1000));
    await redis.publish('new_signal', signalText(from + i));
  }
}

async function measure(way: Way, { clients: count, rate, seconds }: Plan, progress: Progress): Promise<Run> {
  return withServers('gateway', { env: { COMPRESSION: way } }, async ({ redis, redisPid, servers: [server] }) => {
    if (server === undefined) throw new Error('there is no server');
    const before = await server.probe();
    const clients: Client[] = [];
    const producer = new Redis(redis.url);
    try {
      for (let i = 0; i < count; i++) clients.push(new Client(server.port));
      await until(() => clients.every(({ socket }) => socket.connected));
      const sum = (of: (client: Client) => number): number => clients.reduce((total, client) => total + of(client), 0);
      await publish(producer, { from: 0, count: WARM_UP, rate });
      await until(() => sum(({ received }) => received) >= WARM_UP * count);
      const [bytes, received] = [sum((client) => client.bytes), sum((client) => client.received)];
      const meter = new UsageMeter({ servers: [server], redisPid });
      const own = process.cpuUsage();
      const signals = rate * seconds;
      await publish(producer, { from: WARM_UP, count: signals, rate });
      await until(() => sum((client) => client.received) - received >= signals * count);
      const usage = meter.end();
      const { user, system } = process.cpuUsage(own);
      const load = loadOf(usage, (user + system) / 1000);
      const got = sum((client) => client.received) - received;
      await sleep(REST_MS);
      const after = await server.probe();
      progress.within(1);
      return {
        figures: {
          bytesPerDelivery: (sum((client) => client.bytes) - bytes) / Math.max(1, got),
          cpuPerDelivery: ((usage.serverMillis[0] ?? 0) * 1000) / Math.max(1, got),
          rssPerConnection: (after.rss - before.rss) / 1000 / count,
        },
        counts: {
          expected: signals * count,
          received: got,
          lost: Math.max(0, signals * count - got),
          twice: Math.max(0, got - signals * count),
          outOfOrder: sum((client) => client.outOfOrder),
          dropped: clients.filter(({ socket }) => !socket.connected).length,
        },
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      producer.disconnect();
      for (const { socket } of clients) socket.disconnect();
    }
  });
}

interface Plan {
  readonly clients: number;
  readonly rate: number;
  readonly seconds: number;
}

/** What permessage-deflate saves, and what it costs. */
export const compression: Scenario = {
  name: 'compression',
  title: 'what compressed messages save on the wire, and cost the server',
  async run(settings, progress) {
    const { clients = 300, rate = 25, seconds = 5, runs = 3 } = settings;
    const plan = { clients, rate, seconds };
    progress.steps(WAYS.length * runs);
    const rows = await interleave({
      names: WAYS,
      runs,
      progress,
      measure: (way) => measure(way, plan, progress),
    });
    return {
      name: compression.name,
      title: compression.title,
      settings: { clients, 'signals/s': rate, seconds, runs },
      tables: [{ point: '', columns: ['bytesPerDelivery', 'cpuPerDelivery', 'rssPerConnection'], rows }],
      notes: [
        'The rows are values of COMPRESSION. The clients are stock ones that offer permessage-deflate, as browsers do, all in this process. Bytes are counted on their connections, heartbeats included; signals differ in symbol, price and time.',
      ],
    };
  },
};
