import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { nowMicros, signalTexts } from '../load/message.js';
import type { Run } from '../result.js';
import type { Progress } from '../scenario.js';
import { UsageMeter, loadOf, withServers } from './harness.js';
import { BATCH, LOOK_MS, MAXLEN, READ_LIMIT_MS, readSeq } from './ingest-ceiling.js';
import { limitedBy } from './summary.js';

const STREAM = 'signals';
/** Pipelines of `XADD` that are under way. */
const PIPELINES_IN_FLIGHT = 2;

/**
 * How many entries of a source stream a second one pod carries into the journal and reads back, while this process adds as
 * fast as Redis takes them.
 */
export async function measureStream(seconds: number, payload: number, progress: Progress): Promise<Run> {
  return withServers('gateway', { env: { JOURNAL_MAXLEN: String(MAXLEN), SIGNAL_STREAM: STREAM } }, async (bed) => {
    const adminPort = bed.servers[0]?.adminPort ?? 0;
    const redis = new Redis(bed.redis.url);
    try {
      const json = signalTexts(payload)(1, nowMicros());
      const first = await readSeq(adminPort);
      const meter = new UsageMeter(bed);
      const own = process.cpuUsage();
      const begin = performance.now();
      const passed = (): number => (performance.now() - begin) / 1000;
      let added = 0;
      const add = async (): Promise<void> => {
        while (passed() < seconds) {
          const pipeline = redis.pipeline();
          for (let i = 0; i < BATCH; i++) pipeline.xadd(STREAM, '*', 'json', json);
          await pipeline.exec();
          added += BATCH;
          progress.within(Math.min(1, passed() / seconds));
        }
      };
      await Promise.all(Array.from({ length: PIPELINES_IN_FLIGHT }, add));
      const addSeconds = passed();
      while ((await readSeq(adminPort)) < first + added) {
        if (passed() > addSeconds + READ_LIMIT_MS / 1000)
          throw new Error('the pod did not carry the stream to its end');
        await sleep(LOOK_MS);
      }
      const carrySeconds = passed();
      const { user, system } = process.cpuUsage(own);
      const load = loadOf(meter.end(), (user + system) / 1000);
      return {
        figures: {
          appendsPerSecond: added / addSeconds,
          readBackPerSecond: added / carrySeconds,
          cpuShare: load.server,
        },
        load,
        limitedBy: limitedBy(load),
      };
    } finally {
      redis.disconnect();
    }
  });
}
