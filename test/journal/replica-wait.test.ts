import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { AppendError, NotReplicatedError } from '../../src/journal/journal.js';
import { bridgedId } from '../../src/journal/redis-appender.js';
import { message, messages, priceOf, range } from './journal-suite.js';
import { JournalPod } from '../support/journal-pod.js';
import { test } from '../support/own-cleanup.js';
import type { Cleanup } from '../support/processes.js';
import { RedisServer } from '../support/redis.js';
import { until } from '../support/until.js';

const KEY = { key: 'one', fingerprint: 'f' };

interface Kept {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly pod: JournalPod;
}

async function kept(cleanup: Cleanup): Promise<Kept> {
  const primary = await RedisServer.start(cleanup, ['--repl-diskless-sync-delay', '0']);
  const replica = await primary.replica(cleanup);
  const pod = await JournalPod.start(cleanup, { url: primary.url, minReplicas: 1 });
  return { primary, replica, pod };
}

/** The prices of the entries that a server has. */
async function pricesOn(server: RedisServer, cleanup: Cleanup): Promise<number[]> {
  const entries = await server.client(cleanup).xrange('{gateway}:journal', '-', '+');
  return entries.map(([, fields]) => (JSON.parse(fields[3] ?? '{}') as { price: number }).price);
}

describe('an append that waits for a replica', () => {
  test('is on the replica when it is confirmed, however many there are at once and whenever the primary dies', async ({
    cleanup,
  }) => {
    const { primary, replica, pod } = await kept(cleanup);
    for (let round = 0; round < 5; round++) {
      const confirmed: number[] = [];
      const over = new AbortController();
      const writers = range(1, 20).map(async (writer) => {
        for (let n = 0; !over.signal.aborted; n++) {
          const price = round * 1_000_000 + writer * 10_000 + n;
          const result = await pod.journal.append([message(price)]).catch((error: unknown) => error as Error);
          if (!(result instanceof Error)) confirmed.push(price);
          // Where there is no connection it fails at once.
          else await sleep(10);
        }
      });
      await until('some to be confirmed', () => confirmed.length > 200 + round * 37, { seen: () => confirmed.length });
      await primary.kill();
      over.abort();
      await Promise.all(writers);

      const there = new Set(await pricesOn(replica, cleanup));
      expect(confirmed.filter((price) => !there.has(price))).toEqual([]);
      await primary.restart();
      await primary.inStep(cleanup);
      await pod.linked();
    }
  });

  test('fails while the replica hangs, though it is in the journal; the same name settles it on any pod, once', async ({
    cleanup,
  }) => {
    const { primary, replica, pod } = await kept(cleanup);
    const other = await JournalPod.start(cleanup, { url: primary.url, minReplicas: 1 });
    await replica.kill('SIGSTOP');
    const refused = await pod.journal.appendIdempotent([message(7)], KEY).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(NotReplicatedError);
    expect(refused).toMatchObject({ replicas: 0, needed: 1, isNew: true });
    // The connection of the other pod has written nothing itself so far.
    const again = await other.journal.appendIdempotent([message(7)], KEY).catch((error: unknown) => error);
    expect(again).toMatchObject({ name: 'NotReplicatedError', isNew: false });

    await replica.kill('SIGCONT');
    expect(await other.journal.appendIdempotent([message(7)], KEY)).toMatchObject({ outcome: 'repeated' });
    await until('the pod to read it', () => pod.entries.length === 1);
    expect(await pricesOn(replica, cleanup)).toEqual([7]);
  });

  test('does not hold up the bridge, nor the reading, while the replica hangs', async ({ cleanup }) => {
    const { replica, pod } = await kept(cleanup);
    await pod.journal.append([message(1)]);
    await replica.kill('SIGSTOP');
    const waiting = Promise.allSettled(range(2, 40).map((price) => pod.journal.append([message(price)])));
    let isOver = false;
    void waiting.then(() => (isOver = true));
    await until('some to be read', () => pod.entries.length > 1);
    const lease = { token: 't', ttlMs: 10_000, mayTakeOver: true, claims: false };
    expect(await pod.journal.lease.ask(lease)).toBe('acquired');
    const bridged = { id: bridgedId(), message: message(41) };
    expect(await pod.journal.appendFenced([bridged], { token: 't', batch: 1 })).toBe('appended');
    expect(isOver).toBe(false);
    expect((await waiting).map((one) => one.status === 'rejected' && (one.reason as Error).name)).toEqual(
      Array(39).fill('NotReplicatedError'),
    );
    await until('all to be read', () => pod.entries.length === 41, { seen: () => pod });
    expect(pod.entries.map(priceOf).toSorted((a, b) => a - b)).toEqual(range(1, 41));
  });

  test('is refused before it is sent where too many wait', async ({ cleanup }) => {
    const { replica, pod } = await kept(cleanup);
    await replica.kill('SIGSTOP');
    const first = [pod.journal.append([message(1)]), pod.journal.append([message(2)])].map((one) =>
      one.catch((error: unknown) => error as Error),
    );
    // All connections but the last wait for the replica by then.
    await until('both to be in the journal', () => pod.entries.length === 2, { seen: () => pod });
    const more = await Promise.allSettled(messages(5000).map((one) => pod.journal.append([one])));
    const refused = more.filter((one) => one.status === 'rejected' && one.reason instanceof AppendError);
    expect(refused.length).toBeGreaterThan(0);
    await Promise.all(first);
    await until('all that were sent to be read', () => pod.entries.length === 5002 - refused.length, {
      seen: () => pod,
    });
  });

  test('is carried out by a Redis that does not know the script yet', async ({ cleanup }) => {
    const { primary, pod } = await kept(cleanup);
    await primary.client(cleanup).script('FLUSH');
    const offsets = await Promise.all(range(1, 30).map((price) => pod.journal.append([message(price)])));
    expect(new Set(offsets.map(([offset]) => offset?.seq)).size).toBe(30);
    await until('all to be read', () => pod.entries.length === 30, { seen: () => pod });
  });

  test('counts the replicas that answer', async ({ cleanup }) => {
    const { replica, pod } = await kept(cleanup);
    await until('the replica to answer', async () => (await pod.journal.replicaWait?.answering()) === 1);
    await replica.kill();
    await until('the replica to be missed', async () => (await pod.journal.replicaWait?.answering()) === 0);
  });
});
