import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { httpRequest } from '../support/http.js';
import { Pod } from '../support/pod.js';
import { Cleanup, HOST } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { signal } from '../support/signals.js';
import { until } from '../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** More than the kernel takes for a client that does not read, whatever the size of the answers. */
const BYTES = 60_000_000;

async function raw(port: number): Promise<RawClient> {
  return cleanup.add(await RawClient.connect(port), ({ socket }) => socket.destroy());
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`;
}

async function script(pod: Pod): Promise<string> {
  const page = await httpRequest(`${pod.url}/`);
  return /src="(\/dashboard\/assets\/[^"]+\.js)"/.exec(page.body)?.[1] ?? '';
}

test.each([
  ['the page', () => '/'],
  ['its script', script],
  ['the contract', () => '/asyncapi.json'],
])('a client that asks for %s again and again, and reads nothing, is cut', async (_name, pathOf) => {
  const pod = await Pod.start(cleanup);
  const path = await pathOf(pod);
  const { body } = await httpRequest(pod.url + path);
  const times = Math.ceil(BYTES / body.length);
  const client = await raw(pod.port);
  client.socket.pause();
  for (let asked = 0; asked < times; asked += 100) client.socket.write(get(path).repeat(100));
  await sleep(1000);
  const { bytesRead } = client.socket;
  client.socket.resume();
  await until('the connection to be closed', () => client.closed, {
    limit: 20_000,
    seen: () => client.socket.bytesRead,
  });
  expect(bytesRead).toBeLessThan(1_000_000);
  // What the kernel had taken for it.
  expect(client.socket.bytesRead).toBeLessThan(BYTES / 2);
  expect((await httpRequest(pod.url + path)).body).toBe(body);
});

test('a client that takes its time gets the whole of a long answer, and may ask again on the same connection', async () => {
  const pod = await Pod.start(cleanup);
  const sent = Array.from({ length: 1000 }, (_, i) => signal(i, { filler: 'x'.repeat(15_000) }));
  expect((await pod.post('/v1/signals', sent)).status).toBe(202);
  const client = await raw(pod.adminPort);
  for (let time = 0; time < 2; time++) {
    client.socket.pause();
    await client.send(get('/v1/signals?limit=1000'));
    await sleep(500);
    client.socket.resume();
    const head = await client.take('\r\n\r\n');
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    expect(length).toBeGreaterThan(15_000_000);
    await until('all of it', () => client.received.length >= length);
    const { entries } = JSON.parse(client.received.subarray(0, length).toString()) as { entries: { data: unknown }[] };
    expect(entries.map(({ data }) => data)).toEqual(sent);
    client.received = client.received.subarray(length);
  }
});

test('a polling client that recovers, and polls without reading, is cut before its replay waits in memory', async () => {
  const pod = await Pod.start(cleanup);
  const batch = Array.from({ length: 1000 }, (_, i) => signal(i, { filler: 'x'.repeat(15_000) }));
  let last = '';
  for (let i = 0; i < 3; i++) {
    const { offsets } = (await (await pod.post('/v1/signals', batch)).json()) as { offsets: string[] };
    last = offsets.at(-1) ?? '';
  }
  const [epoch = ''] = last.split(':');
  const [posting, polling] = [await raw(pod.port), await raw(pod.port)];
  const sid = await posting.handshake();
  await posting.post(sid, `40{"pid":"p","offset":"${epoch}:0"}`);
  polling.socket.pause();
  // Each poll is answered with a part of the replay at once, if it comes after the one before was answered.
  for (let i = 0; i < 150; i++) {
    polling.socket.write(RawClient.request('GET', `transport=polling&sid=${sid}`));
    await sleep(30);
  }
  expect(await pod.metric('gateway_replayed_entries_total')).toBeLessThan(1000);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
