import { afterEach, expect, test } from 'vitest';
import { MEASURED, memoryOf } from '../../support/memory.js';
import { Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SESSIONS = 600;
const AT_ONCE = 50;
/** Bytes of the header that each session opens with. */
const HEADER = 16_000;

/** Bytes of a message that does not end, and who sends one each. */
const BODY = 1_000_000;
const SENDERS = 60;

async function openSession(pod: Pod): Promise<{ client: RawClient; sid: string }> {
  const client = await RawClient.connect(pod.port);
  await client.send(RawClient.request('GET', 'transport=polling', { cookie: `a=${'x'.repeat(HEADER)}` }));
  const answer = await client.take('"upgrades"');
  return { client, sid: /"sid":"([^"]+)"/.exec(answer)?.[1] ?? '' };
}

/** Ways for a session to end with nobody who could be told so: its client is gone from its poll, or never polls. */
const WAYS = {
  'whose poll is broken off': async (pod: Pod) => {
    const { client, sid } = await openSession(pod);
    await client.send(RawClient.request('GET', `transport=polling&sid=${sid}`));
    client.socket.destroy();
  },
  'that do not poll': async (pod: Pod) => {
    (await openSession(pod)).client.socket.destroy();
  },
  'that send what may not be sent': async (pod: Pod) => {
    const { client, sid } = await openSession(pod);
    // A ping is the server's to send.
    await client.send(`${RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': 1 })}2`);
    await client.take('ok');
    client.socket.destroy();
  },
};

test.for(Object.entries(WAYS))(
  `nothing is kept of ${SESSIONS} sessions on long-polling %s, once they are counted no more`,
  async ([, end]) => {
    const env = { MAX_CONNECTIONS_PER_IP: '0', MAX_CONNECTS_PER_SECOND_PER_IP: '0', PING_INTERVAL: '1000' };
    const pod = await Pod.start(cleanup, { ...env, PING_TIMEOUT: '1000' }, { nodeArgs: MEASURED });
    const round = async (): Promise<number> => {
      for (let i = 0; i < SESSIONS; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, () => end(pod)));
      await until('them to be gone', async () => (await pod.metric('gateway_sessions')) === 0, { limit: 30_000 });
      return memoryOf(pod);
    };
    // What is made only once is there after the first round, and whatever is kept for a time is kept twice after the second.
    const before = await round();
    const kept = (await round()) - before;
    expect(kept).toBeLessThan((SESSIONS * HEADER) / 10);
  },
);

test('nothing is kept of a message that is on its way when its session on long-polling ends', async () => {
  const pod = await Pod.start(cleanup, {}, { nodeArgs: MEASURED });
  const part = 'x'.repeat(BODY - 10);
  const senders = await Promise.all(
    Array.from({ length: SENDERS }, async () => {
      const { client, sid } = await openSession(pod);
      cleanup.add(client, ({ socket }) => socket.destroy());
      return { client, sid };
    }),
  );
  const head = (sid: string): string =>
    RawClient.request('POST', `transport=polling&sid=${sid}`, { 'content-length': BODY });
  await Promise.all(senders.map(({ client, sid }) => client.send(head(sid) + part)));
  await until('the messages', async () => (await memoryOf(pod)) > SENDERS * BODY);
  // A second message at the same time is a fault, which ends the session.
  const others = await Promise.all(senders.map(() => RawClient.connect(pod.port)));
  for (const other of others) cleanup.add(other, ({ socket }) => socket.destroy());
  await Promise.all(
    others.map(async (other, i) => {
      await other.send(head(senders[i]?.sid ?? ''));
      await other.take('overlapping_request');
    }),
  );
  const before = await memoryOf(pod);
  expect(senders.filter(({ client }) => client.closed)).toEqual([]);
  expect(before).toBeLessThan(SENDERS * BODY);
  // They end as they have begun: each gets an answer.
  await Promise.all(
    senders.map(async ({ client }) => {
      await client.send('x'.repeat(10));
      await client.take('\r\n\r\nok');
    }),
  );
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
