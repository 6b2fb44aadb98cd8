import { afterEach, expect, test } from 'vitest';
import { isCostly } from '../../src/websocket/message-shape.js';
import { frame } from '../support/hostile.js';
import { httpRequest } from '../support/http.js';
import { FeedClient, Pod } from '../support/pod.js';
import { Cleanup } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FILLER = `"${'x'.repeat(20_000)}"`;

test('long messages of many values, or of deep ones, are costly; long texts and what stands in them are not', () => {
  for (const inner of ['0,'.repeat(8193), '[],'.repeat(4200), '['.repeat(65), '{"a":'.repeat(65)]) {
    expect(isCostly(`2["subscribe",${FILLER},${inner}`)).toBe(true);
    expect(isCostly(`2["subscribe",${inner}`)).toBe(inner.length > 16_384);
  }
  const topics = Array.from({ length: 1024 }, (_, i) => `["\\,[{${i}${'x'.repeat(40)}`);
  expect(isCostly(`0${JSON.stringify({ topics, token: 'x'.repeat(8192) })}`)).toBe(false);
  expect(isCostly(`2["a",${JSON.stringify('[,'.repeat(50_000))}]`)).toBe(false);
  expect(isCostly(`2["a",${FILLER},${'['.repeat(60)}${']'.repeat(60)},${'['.repeat(60)}`)).toBe(false);
});

test('a mebibyte of brackets or of numbers closes its connection before it is decoded, over either transport', async () => {
  const pod = await Pod.start(cleanup);
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const bodies = [
    `40{"topics":${'['.repeat(500_000)}${']'.repeat(500_000)}}`,
    `42["subscribe",[${'0,'.repeat(500_000)}0]]`,
    `42["subscribe",[${'{},'.repeat(300_000)}{}]]`,
  ];
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
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
