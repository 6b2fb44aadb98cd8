import { expect } from 'vitest';
import type { FeedMessage } from '../../src/contract/decode.js';
import { BridgePump } from '../../src/ingest/bridge-pump.js';
import { BridgeQueue, type QueuedMessage } from '../../src/ingest/bridge-queue.js';
import { bridgedId } from '../../src/journal/redis-appender.js';
import { JournalPod } from '../support/journal-pod.js';
import { test } from '../support/own-cleanup.js';
import type { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { until } from '../support/until.js';

const HEARD_FOR_MS = 1500;

function message(text: string): FeedMessage {
  return { event: 'status_update', json: JSON.stringify({ text }), service: text };
}

/** The text of a {@link message}. */
function textOf(json: string): string {
  return (JSON.parse(json) as { text: string }).text;
}

/** A holder of the lease on a real Redis, whose messages are too old after {@link HEARD_FOR_MS}. */
class Holder {
  readonly queue = new BridgeQueue(bridgedId, { heardForMs: HEARD_FOR_MS });
  readonly stuck: string[] = [];
  readonly appended: string[] = [];
  readonly redis: RedisServer;
  readonly #pod: JournalPod;
  readonly #pump: BridgePump;
  #holds = true;

  private constructor(cleanup: Cleanup, redis: RedisServer, pod: JournalPod) {
    this.redis = redis;
    this.#pod = pod;
    this.#pump = new BridgePump({
      queue: this.queue,
      journal: pod.journal,
      token: () => (this.#holds ? 'mine' : undefined),
      onAppended: (batch) => this.appended.push(...batch.map(({ message: { json } }) => textOf(json))),
      onFenced: () => expect.unreachable('nobody else takes the lease'),
      onStuck: (reason) => this.stuck.push(reason),
    });
    cleanup.add(this, () => {
      this.#holds = false;
    });
  }

  static async start(cleanup: Cleanup): Promise<Holder> {
    const redis = await RedisServer.start(cleanup, ['--maxmemory-policy', 'noeviction']);
    const pod = await JournalPod.start(cleanup, { url: redis.url });
    await pod.journal.lease.ask({ token: 'mine', ttlMs: 600_000, mayTakeOver: true, claims: false });
    const holder = new Holder(cleanup, redis, pod);
    holder.hear('first');
    await holder.delivered(1);
    return holder;
  }

  hear(text: string): void {
    this.queue.heard(message(text), performance.now());
    void this.#pump.run();
  }

  /** What every pod reads. */
  get read(): string[] {
    return this.#pod.entries.map(({ json }) => textOf(json));
  }

  /** Waits until so many entries were read. @returns their texts */
  async delivered(count: number): Promise<string[]> {
    await until('the entries', () => this.read.length >= count, { seen: () => this.#pod });
    return this.read;
  }

  /** Waits until what waits now may no longer be appended. */
  async expired(): Promise<void> {
    const waiting: QueuedMessage[] = this.queue.first(Infinity);
    const last = Math.max(...waiting.map(({ expiresAtMs }) => expiresAtMs));
    await until('the messages to be too old', () => performance.now() > last);
  }
}

test('while Redis is full, a message that has become too old leaves its batch, and the younger ones are appended later', async ({
  cleanup,
}) => {
  const holder = await Holder.start(cleanup);
  const admin = holder.redis.client(cleanup);
  await admin.config('SET', 'maxmemory', '1mb');
  holder.hear('old');
  holder.hear('old too');
  await until('Redis to refuse them', () => holder.stuck.length > 0);
  expect(holder.stuck[0]).toMatch(/^OOM command not allowed/);
  await holder.expired();
  holder.hear('young');
  await admin.config('SET', 'maxmemory', '0');
  expect(await holder.delivered(2)).toEqual(['first', 'young']);
  expect(holder.appended).toEqual(['first', 'young']);
  expect(holder.queue.expire(performance.now())).toBe(2);
  expect(holder.queue.length).toBe(0);
});

test('what Redis takes only after it has become too old is not appended, though its answer was not waited for', async ({
  cleanup,
}) => {
  const holder = await Holder.start(cleanup);
  await holder.redis.kill('SIGSTOP');
  holder.hear('old');
  await holder.expired();
  await holder.redis.kill('SIGCONT');
  holder.hear('young');
  expect(await holder.delivered(2)).toEqual(['first', 'young']);
  expect(holder.queue.expire(performance.now())).toBe(1);
});

test('an append that comes to light after its message was dropped takes no later equal message away', async ({
  cleanup,
}) => {
  const holder = await Holder.start(cleanup);
  const { queue } = holder;
  const nowMs = performance.now();
  queue.heard(message('alive'), nowMs);
  const [sent] = queue.first(1);
  expect(queue.expire(nowMs + HEARD_FOR_MS + 1)).toBe(1);
  queue.seen({ id: sent?.id ?? '', event: 'status_update', json: message('alive').json }, nowMs + HEARD_FOR_MS + 2);
  holder.hear('alive');
  expect(await holder.delivered(2)).toEqual(['first', 'alive']);
});
