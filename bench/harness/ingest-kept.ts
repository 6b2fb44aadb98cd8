import { Agent, request } from 'node:http';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { RedisJournal } from '../../src/journal/redis-journal.js';
import { WAIT_LANES } from '../../src/journal/replica-wait.js';
import { encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { emptyHistogram } from '../load/tally.js';
import { nowMicros, signalTexts } from '../load/message.js';
import { RunningServer } from '../load/servers.js';
import type { Run } from '../result.js';
import type { Progress } from '../scenario.js';
import { UsageMeter, loadOf, someoneBridges, withRedis } from './harness.js';
import { latencyFigures, limitedBy } from './summary.js';

/** The rows: what is confirmed by the primary alone, and what a replica has too. A replica is attached in both. */
export const KEPT = ['gateway', 'JOURNAL_MIN_REPLICAS=1'] as const;
/** The name of a row. */
export type Kept = (typeof KEPT)[number];

/** Turns that are not timed. */
const WARM_UP = 1000;
/** Appends of one signal each that are under way at once. */
const IN_FLIGHT = 256;

function nothing(): void {}

interface Lane {
  readonly name: Kept;
  readonly minReplicas: number;
  readonly server: RunningServer;
  readonly times: ReturnType<typeof emptyHistogram>;
}

/** Posts one signal and waits for the answer. Lighter than `fetch`, whose own time would hide what is measured. */
function post(agent: Agent, url: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const outgoing = request(url, { agent, method: 'POST', headers }, (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 202) resolve();
        else reject(new Error(`The gateway answered ${response.statusCode} to a signal.`));
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** How many appends of one signal each a journal takes in a second, with many under way. */
async function appendsPerSecond(
  url: string,
  minReplicas: number,
  { seconds, json }: { seconds: number; json: string },
): Promise<number> {
  const open = Array.from({ length: 1 + WAIT_LANES }, () => new Redis(url));
  const [commands, ...lanes] = open as [Redis, ...Redis[]];
  try {
    await Promise.all(open.map((one) => one.ping()));
    const journal = new RedisJournal({
      commands,
      replays: commands,
      keyPrefix: `ceiling-${minReplicas}`,
      pod: 'bench',
      maxlen: 100_000,
      ringBytes: 64 * 1024 * 1024,
      listener: { onEntry: nothing, onGap: nothing, onJoined: nothing },
      kept: minReplicas === 0 ? undefined : { minReplicas, lanes },
      log: pino({ level: 'silent' }),
    });
    const message = [{ event: 'new_signal' as const, json, symbol: 'BTC/USDT', timeframe: '1m' }];
    const begin = performance.now();
    const passed = (): number => (performance.now() - begin) / 1000;
    let appended = 0;
    const append = async (): Promise<void> => {
      for (; passed() < seconds; appended++) await journal.append(message);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, append));
    return appended / passed();
  } finally {
    for (const one of open) one.disconnect();
  }
}

/**
 * Posts one signal at a time to each row in turn, so that every figure is the time of one answer and never a queue, and then
 * appends as many as each takes. One Redis with one replica, for both rows.
 */
export async function measureKept(seconds: number, payload: number, progress: Progress): Promise<Record<Kept, Run>> {
  return withRedis(async (redis, cleanup) => {
    await redis.replica(cleanup);
    const agent = cleanup.add(new Agent({ keepAlive: true, maxSockets: 1 }), (self) => self.destroy());
    const lanes: Lane[] = [];
    for (const [minReplicas, name] of KEPT.entries()) {
      const env = { REDIS_KEY_PREFIX: `kept-${minReplicas}`, JOURNAL_MIN_REPLICAS: String(minReplicas) };
      const server = cleanup.add(await RunningServer.start('gateway', { redisUrl: redis.url, env }), (self) =>
        self.stop(),
      );
      await someoneBridges([server]);
      lanes.push({ name, minReplicas, server, times: emptyHistogram() });
    }
    const text = signalTexts(payload);
    let sent = 0;
    const turn = async (): Promise<void> => {
      for (const { server, times } of lanes) {
        const begin = nowMicros();
        await post(agent, server.publishUrl, text(sent++, begin));
        times.recordValue(Math.max(1, nowMicros() - begin));
      }
    };
    for (let i = 0; i < WARM_UP; i++) await turn();
    for (const { times } of lanes) times.reset();
    const meter = new UsageMeter({ servers: lanes.map(({ server }) => server) });
    const own = process.cpuUsage();
    const begin = nowMicros();
    for (let now = begin; now < begin + seconds * 1e6; now = nowMicros()) {
      await turn();
      progress.within((now - begin) / (seconds * 3e6));
    }
    const usage = meter.end();
    const { user, system } = process.cpuUsage(own);
    const runs: [Kept, Run][] = [];
    for (const [i, lane] of lanes.entries()) {
      const encoded = encodeIntoCompressedBase64(lane.times);
      const load = loadOf({ ...usage, serverMillis: [usage.serverMillis[i] ?? 0] }, (user + system) / 1000);
      const appends = await appendsPerSecond(redis.url, lane.minReplicas, { seconds, json: text(0, nowMicros()) });
      progress.within((i + 2) / 3);
      const figures = { ...latencyFigures(encoded), appendsPerSecond: appends };
      runs.push([lane.name, { figures, load, limitedBy: limitedBy(load), latency: encoded }]);
    }
    return Object.fromEntries(runs) as Record<Kept, Run>;
  });
}
