import { afterEach, expect, test } from 'vitest';
import { isCostly } from '../../../src/websocket/engine/message-shape.js';
import { frame } from '../../support/hostile.js';
import { httpRequest } from '../../support/http.js';
import { FeedClient, Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { signal } from '../../support/signals.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FILLER = `"${'x'.repeat(20_000)}"`;

test('messages of many values, or of deep ones, are costly; long texts and what stands in them are not', () => {
  const costly = ['0,'.repeat(2049), '[],'.repeat(257), '{},'.repeat(257), '"a":0,'.repeat(257), '['.repeat(65)];
  for (const inner of costly) {
    expect([inner, isCostly(`2["subscribe",${FILLER},${inner}`)]).toEqual([inner, true]);
    expect(isCostly(`2["subscribe",${inner}`)).toBe(inner.length > 500);
  }
  const topics = Array.from({ length: 1024 }, (_, i) => `["\\,[{:${i}${'x'.repeat(40)}`);
  expect(isCostly(`0${JSON.stringify({ topics, token: 'x'.repeat(8192) })}`)).toBe(false);
  expect(isCostly(`2["a",${JSON.stringify('[,'.repeat(50_000))}]`)).toBe(false);
  expect(isCostly(`2["a",${FILLER},${'['.repeat(60)}${']'.repeat(60)},${'['.repeat(60)}`)).toBe(false);
  expect(isCostly(`2/${'n'.repeat(200)},${'9'.repeat(15)}["a",${FILLER}]`)).toBe(false);
});

test('what stands before the JSON of a long message is short, or the message is costly', () => {
  for (const filler of [' ', '1', '\t', '/a', '-', 'é'])
    expect(isCostly(`2${filler.repeat(600)}["subscribe",[]]`)).toBe(true);
});

/** Sends each message over both transports, and waits until each has closed its connection, and nobody else's. @returns unhandled faults */
async function closedBy(bodies: readonly string[]): Promise<number | undefined> {
  const pod = await Pod.start(cleanup);
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  for (const body of bodies) {
    const socket = cleanup.add(await RawClient.connect(pod.port), (self) => self.socket.destroy());
    await socket.open();
    if (!body.startsWith('40')) await socket.send(RawClient.frame('40'));
    await socket.send(frame(Buffer.from(body)));
    await until('it to be closed', () => socket.closed);
    const polling = cleanup.add(await RawClient.connect(pod.port), (self) => self.socket.destroy());
    const sid = await polling.handshake();
    if (!body.startsWith('40')) await polling.post(sid, '40');
    await polling.post(sid, body);
    // The session ends with the poll that is told so.
    const url = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    await until('it to be closed', async () => (await httpRequest(url)).status === 400);
  }
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
  return pod.metric('gateway_unhandled_faults_total');
}

test('a mebibyte of brackets or of numbers closes its connection before it is decoded, over either transport', async () => {
  const faults = await closedBy([
    `40{"topics":${'['.repeat(500_000)}${']'.repeat(500_000)}}`,
    `42["subscribe",[${'0,'.repeat(500_000)}0]]`,
    `42["subscribe",[${'{},'.repeat(300_000)}{}]]`,
    `42${' '.repeat(900_000)}["subscribe",[]]`,
  ]);
  expect(faults).toBe(0);
});

test('16 KB of brackets or of blanks close their connection too, over either transport', async () => {
  const faults = await closedBy([
    `42["subscribe",${'['.repeat(8000)}${']'.repeat(8000)}]`,
    `42["subscribe",[${'{},'.repeat(5000)}{}]]`,
    `42${' '.repeat(16_000)}["subscribe",[]]`,
  ]);
  expect(faults).toBe(0);
});
