import { afterEach, expect, test } from 'vitest';
import { MEASURED, memoryOf } from '../support/memory.js';
import { Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SESSIONS = 600;
const AT_ONCE = 50;
/** Bytes of the header that each session opens with. */
const HEADER = 16_000;

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
