import { afterEach, describe, expect, test } from 'vitest';
import { REJECT_REASONS, type RejectReason } from '../../src/contract/decode.js';
import { FEED_EVENTS, type FeedEvent } from '../../src/contract/events.js';
import { type BadMessage, badMessages } from '../support/bad-messages.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const LIMIT = 16_000;
const KEPT = 1000;
const REASONS: readonly RejectReason[] = REJECT_REASONS;
const TRANSPORTS = [['websocket'], ['polling']];
const SAMPLE_BYTES = 512;
const BAD = badMessages(LIMIT);
/** What a sample of each message looks like. */
const SENT = new Set(
  BAD.map(({ event, reason, bytes }) => `${event} ${reason} ${bytes.subarray(0, SAMPLE_BYTES).toString()}`),
);

function countOf(messages: readonly BadMessage[], event: FeedEvent, reason: RejectReason): number {
  return messages.filter((one) => one.event === event && one.reason === reason).length;
}

/** The counters of a pod, by event and reason. */
async function rejectedBy(pod: Pod): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const event of FEED_EVENTS) {
    for (const reason of REASONS) {
      counts[`${event} ${reason}`] = await pod.metric('gateway_messages_rejected_total', { event, reason });
    }
  }
  return counts;
}

describe('the table of bad messages', () => {
  test('has at least 200, each with a name and bytes of its own, and every reason for both channels', () => {
    expect(BAD.length).toBeGreaterThanOrEqual(200);
    expect(new Set(BAD.map(({ name }) => name)).size).toBe(BAD.length);
    expect(new Set(BAD.map(({ event, bytes }) => `${event} ${bytes.toString('base64')}`)).size).toBe(BAD.length);
    const groups = FEED_EVENTS.flatMap((event) => REASONS.map((reason) => countOf(BAD, event, reason)));
    expect(Math.min(...groups)).toBeGreaterThanOrEqual(5);
  });
});

test('of every kind of bad message none reaches a client, none harms a pod, and each is counted by its reason', async () => {
  const redis = await RedisServer.start(cleanup);
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  const clients = await Promise.all(
    pods.flatMap((pod) =>
      TRANSPORTS.flatMap((transports) => [1, 2].map(() => FeedClient.connect(cleanup, pod.url, { transports }))),
    ),
  );
  const producer = redis.client(cleanup);
  // The list is full already, so that what is added has to push something out.
  await producer.lpush('{gateway}:rejected', ...Array.from({ length: KEPT + 500 }, (_, i) => `"old ${i}"`));
  for (const { event, bytes } of BAD) expect(await producer.publish(event, bytes)).toBe(pods.length);
  const good = signal(162.5);
  await producer.publish('new_signal', JSON.stringify(good));

  await until('the good signal at every client', () => clients.every(({ signals }) => signals.length > 0), {
    seen: () => clients,
  });
  for (const client of clients) {
    expect(client.signals.map(([payload]) => payload)).toEqual([good]);
    expect(client.statuses).toEqual([]);
    expect(client.other).toEqual([]);
    expect(client.disconnects).toEqual([]);
    expect(client.welcomes).toHaveLength(1);
  }
  const expected = Object.fromEntries(
    FEED_EVENTS.flatMap((event) => REASONS.map((reason) => [`${event} ${reason}`, countOf(BAD, event, reason)])),
  );
  for (const pod of pods) {
    expect(await rejectedBy(pod)).toEqual(expected);
    expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
    expect((await fetch(`${pod.adminUrl}/healthz`)).status).toBe(200);
    expect((await fetch(`${pod.adminUrl}/readyz`)).status).toBe(200);
    expect(pod.child.exited).toBe(false);
    expect(pod.child.stderr).not.toContain('    at ');
  }
  // Every pod hears every message, but one of them speaks.
  const told = (): Record<string, unknown>[] =>
    pods.flatMap((pod) => pod.logs()).filter(({ msg }) => String(msg).includes('rejected'));
  // Lines come a moment after the fact.
  const missing = (): string[] => REASONS.filter((name) => !told().some(({ reason }) => reason === name));
  await until('a line for every reason', () => missing().length === 0, { seen: missing });
  const lines = told();
  expect(lines.length).toBeLessThanOrEqual(40);
  const accepted = await Promise.all(pods.map((pod) => pod.metric('gateway_messages_accepted_total')));
  expect(accepted.toSorted((a, b) => a - b)).toEqual([0, 1]);
});

test('samples of what was refused are kept in Redis for inspection, never more than 1,000', async () => {
  const redis = await RedisServer.start(cleanup);
  const producer = redis.client(cleanup);
  await producer.lpush('{gateway}:rejected', ...Array.from({ length: KEPT + 500 }, (_, i) => `"old ${i}"`));
  const pods = await Promise.all([1, 2].map(() => Pod.start(cleanup, { REDIS_URL: redis.url })));
  for (const { event, bytes } of BAD) await producer.publish(event, bytes);

  const kept = async (): Promise<string[]> => producer.lrange('{gateway}:rejected', 0, -1);
  const samples = await until(
    'samples of every reason',
    async (): Promise<Sample[] | undefined> => {
      const found = (await kept())
        .map((text) => JSON.parse(text) as Sample | string)
        .filter((one) => typeof one === 'object');
      return new Set(found.map((one) => one.reason)).size === REASONS.length ? found : undefined;
    },
    { seen: () => pods.map((pod) => pod.output()) },
  );
  expect(await producer.llen('{gateway}:rejected')).toBe(KEPT);
  for (const one of samples) {
    expect(Object.keys(one).toSorted()).toEqual(['at', 'detail', 'event', 'pod', 'reason', 'sample', 'source']);
    expect(one.source).toBe('pubsub');
    expect(one.detail).not.toBe('');
    expect(new Date(one.at).toISOString()).toBe(one.at);
    expect(SENT).toContain(`${one.event} ${one.reason} ${one.sample}`);
  }
});

/** What the list in Redis holds. */
interface Sample {
  readonly pod: string;
  readonly source: string;
  readonly event: string;
  readonly reason: string;
  readonly detail: string;
  readonly sample: string;
  readonly at: string;
}
