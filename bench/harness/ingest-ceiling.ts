import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { RedisJournal } from '../../src/journal/redis-journal.js';
import { HOST } from '../../test/support/processes.js';
import { nowMicros, signalTexts } from '../load/message.js';
import type { Run } from '../result.js';
import type { Progress } from '../scenario.js';
import { UsageMeter, loadOf, withServers } from './harness.js';
import { limitedBy } from './summary.js';

/** Messages appended in one call, and calls under way. */
export const BATCH = 500;
const BATCHES_IN_FLIGHT = 4;
/** How often it is looked how far a pod has read. */
export const LOOK_MS = 5;
/** A pod that has not read to the end by then, after the last append, never will. */
export const READ_LIMIT_MS = 60_000;

function nothing(): void {}

/** The newest entry that a pod has read. */
export async function readSeq(adminPort: number): Promise<number> {
  const text = await (await fetch(`http://${HOST}:${adminPort}/metrics`)).text();
  return Number(/^gateway_journal_seq (\d+)/m.exec(text)?.[1] ?? 0);
}

/** More than a run appends: an entry that is trimmed before the pod has read it would count as read. */
export const MAXLEN = 5_000_000;

/** How many appends a second one pod reads back, while this process appends as fast as Redis takes them. */
export async function measureCeiling(seconds: number, payload: number, progress: Progress): Promise<Run> {
  return withServers('gateway', { env: { JOURNAL_MAXLEN: String(MAXLEN) } }, async (bed) => {
    const adminPort = bed.servers[0]?.adminPort ?? 0;
    const commands = new Redis(bed.redis.url);
    try {
      const journal = new RedisJournal({
        commands,
        replays: commands,
        keyPrefix: 'gateway',
        pod: 'bench',
        maxlen: MAXLEN,
        ringBytes: 64 * 1024 * 1024,
        listener: { onEntry: nothing, onGap: nothing, onJoined: nothing },
        log: pino({ level: 'silent' }),
      });
      const json = signalTexts(payload)(1, nowMicros());
      const message = { event: 'new_signal' as const, json, symbol: 'BTC/USDT', timeframe: '1m' };
      const batch = Array.from({ length: BATCH }, () => message);
      const first = await readSeq(adminPort);
      const meter = new UsageMeter(bed);
      const own = process.cpuUsage();
      const begin = performance.now();
      const passed = (): number => (performance.now() - begin) / 1000;
      let appended = 0;
      let last = first;
      const append = async (): Promise<void> => {
        while (passed() < seconds) {
          const offsets = await journal.append(batch);
          appended += offsets.length;
          last = Math.max(last, offsets.at(-1)?.seq ?? 0);
          progress.within(Math.min(1, passed() / seconds));
        }
      };
      await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, append));
      const appendSeconds = passed();
      while ((await readSeq(adminPort)) < last) {
        if (passed() > appendSeconds + READ_LIMIT_MS / 1000) throw new Error('the pod did not read to the end');
        await sleep(LOOK_MS);
      }
      const readSeconds = passed();
      const { user, system } = process.cpuUsage(own);
      const load = loadOf(meter.end(), (user + system) / 1000);
      return {
        figures: {
          appendsPerSecond: appended / appendSeconds,
          readBackPerSecond: (last - first) / readSeconds,
          cpuShare: load.server,
        },
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      commands.disconnect();
    }
  });
}
