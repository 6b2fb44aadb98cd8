import { expect } from 'vitest';
import { frame, fuzzed, repeat, throwAt } from './hostile.js';
import { httpRequest } from './http.js';
import { MEASURED, memoryOf } from './memory.js';
import { FeedClient, Pod } from './pod.js';
import type { Cleanup } from './processes.js';
import { Random } from './random.js';
import { signal } from './signals.js';
import { until } from './until.js';

/** Most connections end before the last of their packets: what is wrong closes them. */
const PACKETS_EACH = 8;
const AT_ONCE = 40;

/** Without the limits, which would cut most of it before it is looked at. */
const UNLIMITED = { MAX_MESSAGES_PER_SECOND: '0', MAX_BYTES_PER_SECOND: '0' };

async function expectUnharmed(pod: Pod, honest: FeedClient): Promise<void> {
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
  expect(pod.child.exited).toBe(false);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
}

/** Waits until only the honest client is left. */
async function alone(pod: Pod, limit: number): Promise<void> {
  await until('the hostile ones to be gone', async () => (await pod.metric('gateway_sessions')) === 1, {
    seen: () => pod.child.stderr,
    limit,
  });
}

/** Sends random and mutated packets over WebSocket, a ninth of them before the memory is measured first. */
export async function expectFramesHarmless(cleanup: Cleanup, packets: number, seed: number): Promise<void> {
  const pod = await Pod.start(cleanup, UNLIMITED, { nodeArgs: MEASURED });
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const random = new Random(seed);
  const storm = async (part: number): Promise<void> => {
    await repeat(part / PACKETS_EACH, AT_ONCE, async () => {
      const frames = Array.from({ length: PACKETS_EACH }, () => {
        const { payload, opcode } = fuzzed(random);
        return frame(payload, opcode);
      });
      // Half of the connections have a socket first.
      const join = random.below(2) === 0 ? [frame(Buffer.from('40'))] : [];
      await throwAt(pod.port, Buffer.concat([...join, ...frames]), 50);
    });
    await alone(pod, 15_000);
  };
  // Once before, so that everything that is made only once is there.
  await storm(packets / 9);
  const before = await memoryOf(pod);
  await storm((packets / 9) * 8);
  const after = await memoryOf(pod);
  expect(after / before).toBeLessThan(1.1);
  // They got as far as Socket.IO.
  expect(await pod.metric('gateway_connects_total')).toBeGreaterThan(packets / 45);
  await expectUnharmed(pod, honest);
}

/** Sends packets over long-polling, in one request, after a socket is there. */
async function post(pod: Pod, packets: string): Promise<void> {
  const url = `${pod.url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await httpRequest(url)).body.slice(1)) as { sid: string };
  for (const body of ['40', packets, '1']) {
    const headers = { 'content-length': String(Buffer.byteLength(body)) };
    // A session that is gone answers with an error, or not at all.
    await httpRequest(`${url}&sid=${sid}`, { method: 'POST', body, headers }).catch(() => {});
  }
}

/** Sends random and mutated packets over long-polling. */
export async function expectPostsHarmless(cleanup: Cleanup, packets: number, seed: number): Promise<void> {
  const pod = await Pod.start(cleanup, UNLIMITED);
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['polling'] });
  const random = new Random(seed);
  await repeat(packets / PACKETS_EACH, AT_ONCE, async () => {
    const payloads = Array.from({ length: PACKETS_EACH }, () => fuzzed(random).payload.toString());
    await post(pod, payloads.join('\x1e'));
  });
  // Engine.IO waits 30 s for the poll of a session that it is closing.
  await alone(pod, 45_000);
  expect(await pod.metric('gateway_connects_total')).toBeGreaterThan(packets / 100);
  await expectUnharmed(pod, honest);
}
