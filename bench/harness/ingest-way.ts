import { setTimeout as sleep } from 'node:timers/promises';
import { type Histogram, build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import type { Redis } from 'ioredis';
import { type Socket, io } from 'socket.io-client';
import { HOST } from '../../test/support/processes.js';
import { nowMicros, signalTexts } from '../load/message.js';
import { RunningServer } from '../load/servers.js';
import type { Run } from '../result.js';
import type { Progress } from '../scenario.js';
import { UsageMeter, loadOf, someoneBridges, withRedis } from './harness.js';
import { latencyFigures, limitedBy } from './summary.js';

/** The rows: a straight emit, a bare journal in between, the gateway, and the gateway by a source stream. */
export const WAYS = ['straight', 'bare-journal', 'gateway', 'gateway-stream'] as const;
/** The name of a row. */
export type Way = (typeof WAYS)[number];

/** Turns that are not timed: about as many as V8 takes until the code on the way is compiled. */
const WARM_UP = 2000;
const LIMIT_MS = 5000;
const LOOK_MICROS = 200_000;

function histogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 });
}

/** A server with one stock client, and the channel or the stream that it alone listens to. */
class Lane {
  readonly way: Way;
  readonly server: RunningServer;
  readonly latency = histogram();
  readonly #channel: string;
  readonly #client: Socket;
  #sent = 0;
  #onSignal: (n: number, at: number) => void = () => {};

  constructor(way: Way, server: RunningServer, channel: string) {
    this.way = way;
    this.server = server;
    this.#channel = channel;
    this.#client = io(`http://${HOST}:${server.port}`, { transports: ['websocket'], forceNew: true });
    this.#client.on('new_signal', ({ n }: { n: string }) => this.#onSignal(Number(n), nowMicros()));
  }

  /** Resolves when the client is connected. */
  async connected(): Promise<void> {
    const deadline = Date.now() + LIMIT_MS;
    while (!this.#client.connected) {
      if (Date.now() > deadline) throw new Error(`no connection to ${this.way} after ${LIMIT_MS} ms`);
      await sleep(10);
    }
  }

  /** Publishes one signal and waits until the client has it, and Redis has answered. */
  async send(producer: Redis, text: (n: number, due: number) => string): Promise<void> {
    const due = this.#sent++;
    let watch: NodeJS.Timeout | undefined;
    const arrival = new Promise<number>((resolve, reject) => {
      watch = setTimeout(() => reject(new Error(`${this.way} lost signal ${due}`)), LIMIT_MS);
      this.#onSignal = (n, at) => {
        if (n === due) resolve(at);
        else reject(new Error(`${this.way} sent signal ${n} where ${due} was due`));
      };
    });
    try {
      const begin = nowMicros();
      const json = text(due, begin);
      const sent =
        this.way === 'gateway-stream'
          ? producer.xadd(this.#channel, 'MAXLEN', '~', 10_000, '*', 'json', json)
          : producer.publish(this.#channel, json);
      const [at] = await Promise.all([arrival, sent]);
      this.latency.recordValue(Math.max(1, at - begin));
    } finally {
      clearTimeout(watch);
    }
  }

  close(): void {
    this.#client.disconnect();
  }
}

/** One run of every row. */
export interface WayRuns {
  readonly runs: Readonly<Record<Way, Run>>;
  /** Times of a `PING`, in µs; HdrHistogram V2, compressed, base64. */
  readonly ping: string;
}

/**
 * Sends one signal at a time, through each row in turn, so that every figure is the way of a signal and never a queue, and
 * what else the machine does hits all rows alike.
 */
export async function measureWays(seconds: number, payload: number, progress: Progress): Promise<WayRuns> {
  return withRedis(async (redis, cleanup) => {
    const lanes: Lane[] = [];
    for (const way of WAYS) {
      const channel = `signals:${way}`;
      const isStream = way === 'gateway-stream';
      const env = isStream ? { SIGNAL_STREAM: channel, REDIS_KEY_PREFIX: way } : { SIGNAL_CHANNEL: channel };
      const options = { redisUrl: redis.url, env };
      const server = cleanup.add(await RunningServer.start(isStream ? 'gateway' : way, options), (self) => self.stop());
      if (isStream || way === 'gateway') await someoneBridges([server]);
      const lane = cleanup.add(new Lane(way, server, channel), (self) => self.close());
      await lane.connected();
      lanes.push(lane);
    }
    const producer = redis.client(cleanup);
    const text = signalTexts(payload);
    const ping = histogram();
    const turn = async (): Promise<void> => {
      for (const lane of lanes) await lane.send(producer, text);
      const begin = nowMicros();
      await producer.ping();
      ping.recordValue(Math.max(1, nowMicros() - begin));
    };
    for (let i = 0; i < WARM_UP; i++) await turn();
    for (const { latency } of [...lanes, { latency: ping }]) latency.reset();
    const meter = new UsageMeter({ servers: lanes.map(({ server }) => server) });
    const own = process.cpuUsage();
    const begin = nowMicros();
    const end = begin + seconds * 1e6;
    let told = begin;
    for (let now = begin; now < end; now = nowMicros()) {
      await turn();
      if (now - told < LOOK_MICROS) continue;
      told = now;
      progress.within((now - begin) / (end - begin));
    }
    const usage = meter.end();
    const { user, system } = process.cpuUsage(own);
    const straight = lanes.find(({ way }) => way === 'straight')?.latency.getValueAtPercentile(50) ?? NaN;
    const runs = lanes.map(({ way, latency }, i): [Way, Run] => {
      const encoded = encodeIntoCompressedBase64(latency);
      const figures = latencyFigures(encoded);
      const load = loadOf({ ...usage, serverMillis: [usage.serverMillis[i] ?? 0] }, (user + system) / 1000);
      const received = latency.totalCount;
      return [
        way,
        {
          figures:
            way === 'straight'
              ? figures
              : { ...figures, addedMs: latency.getValueAtPercentile(50) / 1000 - straight / 1000 },
          // A signal that does not come, or comes out of turn, ends the run.
          counts: { expected: received, received, lost: 0, twice: 0, outOfOrder: 0, dropped: 0 },
          load,
          limitedBy: limitedBy(load),
          latency: encoded,
        },
      ];
    });
    return { runs: Object.fromEntries(runs) as Record<Way, Run>, ping: encodeIntoCompressedBase64(ping) };
  });
}
