import { afterEach, describe, expect, test } from 'vitest';
import type { Gap, SubscribeAnswer } from '../../src/contract/events.js';
import { parsePlace } from '../../src/contract/offset.js';
import { FrontDoor } from '../support/front-door.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PADDING = 'x'.repeat(15_000);
const BATCH = 100;

/** A stock client whose door stops reading for it when told so, and another one. */
async function pair(
  pod: Pod,
  topics: readonly string[],
): Promise<{ door: FrontDoor; client: FeedClient; heard: unknown[][]; honest: FeedClient }> {
  const door = await FrontDoor.open(cleanup, [pod]);
  const client = await FeedClient.connect(cleanup, door.url, { transports: ['websocket'], auth: { topics } });
  const heard: unknown[][] = [];
  client.socket.onAny((...args: unknown[]) => heard.push(args));
  return { door, client, heard, honest: await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] }) };
}

async function publish(pod: Pod, batches: number, symbols: readonly string[], honest: FeedClient): Promise<void> {
  for (let i = 0; i < batches; i++) {
    const from = honest.signals.length;
    const batch = Array.from({ length: BATCH }, (_, n) =>
      signal(from + n, { symbol: symbols[n % symbols.length], padding: PADDING }),
    );
    expect((await pod.post('/v1/signals', batch)).status).toBe(202);
    // The honest client sets the pace.
    await until('the honest client to have it', () => honest.signals.length === from + BATCH, {
      limit: 60_000,
      seen: () => honest,
    });
  }
}

function seqOf(offset: unknown): number {
  return parsePlace(offset)?.offset.seq ?? Number.NaN;
}

function priceOf([, payload]: readonly unknown[]): number | undefined {
  return (payload as { price?: number } | undefined)?.price;
}

function isCheckpoint([event]: readonly unknown[]): boolean {
  return event === 'checkpoint';
}

/** Prices of the signals in what was heard. */
function pricesIn(part: readonly unknown[][]): unknown[] {
  return part.filter((one) => !isCheckpoint(one)).map(priceOf);
}

/** Whether the offset of an event says that its client has chosen. */
function isMarked([event, one, two]: readonly unknown[]): boolean {
  return String(event === 'checkpoint' ? one : two).endsWith('~');
}

describe.each([
  ['in memory', false],
  ['in Redis', true],
])('with a journal %s', (_, isInRedis) => {
  test('a client behind by more than the journal keeps gets one gap with the right places, and goes on', async () => {
    const redis = isInRedis ? await RedisServer.start(cleanup) : undefined;
    const pod = await Pod.start(cleanup, { JOURNAL_MAXLEN: '200', ...(redis && { REDIS_URL: redis.url }) });
    const { door, client, heard, honest } = await pair(pod, ['*']);
    door.pause();
    // What kernels take is not in the journal any more when the client comes to it.
    await publish(pod, 20, ['A'], honest);
    door.resume();
    await until('the gap', () => heard.some(([event]) => event === 'gap'), { limit: 60_000, seen: () => client });
    await publish(pod, 1, ['A'], honest);
    await until('the newest signal', () => priceOf(heard.at(-1) ?? []) === 21 * BATCH - 1, {
      seen: () => [client, heard.length],
    });

    const at = heard.findIndex(([event]) => event === 'gap');
    const gaps = heard.filter(([event]) => event === 'gap');
    expect(gaps).toHaveLength(1);
    const [, gap] = gaps[0] as [string, Gap];
    expect(gap.reason).toBe('expired');
    // It has everything before the gap, and everything after it.
    expect(gap.requested).toBe(heard[at - 1]?.[2]);
    const seqs = heard.filter(([event]) => event === 'new_signal').map(([, , offset]) => seqOf(offset));
    const first = seqs[0] ?? 0;
    const before = Array.from({ length: at }, (_none, i) => first + i);
    const after = Array.from({ length: seqs.length - at }, (_none, i) => seqOf(gap.resumed) + 1 + i);
    expect(seqs).toEqual([...before, ...after]);
    expect(client.disconnects).toEqual([]);
    expect(await pod.metric('gateway_slow_clients_total')).toBe(0);
  });

  test('a client that is behind and chooses other topics gets what was published before by the old ones, and then by the new', async () => {
    const redis = isInRedis ? await RedisServer.start(cleanup) : undefined;
    const pod = await Pod.start(cleanup, redis && { REDIS_URL: redis.url });
    const { door, client, heard, honest } = await pair(pod, ['A']);
    door.pause();
    await publish(pod, 12, ['A', 'B'], honest);
    // The door carries on what the client sends.
    const answer = client.socket.timeout(60_000).emitWithAck('subscribe', ['B']) as Promise<SubscribeAnswer>;
    door.resume();
    let atAnswer = 0;
    const topics = await answer.then((value) => {
      atAnswer = heard.length;
      return value;
    });
    expect(topics).toEqual({ ok: true, topics: ['B'] });
    await publish(pod, 1, ['A', 'B'], honest);
    await until('the newest signal', () => priceOf(heard.at(-1) ?? []) === 13 * BATCH - 1, {
      seen: () => [client, heard.length],
    });

    const evens = Array.from({ length: (12 * BATCH) / 2 }, (_none, i) => 2 * i);
    const odds = Array.from({ length: BATCH / 2 }, (_none, i) => 12 * BATCH + 2 * i + 1);
    // A client with topics is told now and then where the journal is, whatever it does.
    const at = heard.findIndex((one) => isCheckpoint(one) && isMarked(one));
    expect(pricesIn(heard.slice(0, at))).toEqual(evens);
    expect(pricesIn(heard.slice(at + 1))).toEqual(odds);
    expect(atAnswer).toBe(at + 1);
    // From the choice on its offsets say that it has chosen.
    expect(heard.map(isMarked)).toEqual(heard.map((_none, i) => i >= at));
    expect(client.disconnects).toEqual([]);
  });
});
