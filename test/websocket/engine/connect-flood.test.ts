import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { FeedClient, Pod } from '../../support/pod.js';
import { Cleanup } from '../../support/processes.js';
import { RawClient } from '../../support/raw-client.js';
import { signal } from '../../support/signals.js';
import { until } from '../../support/until.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function handshake(pod: Pod, query = ''): Promise<Response> {
  return fetch(`${pod.url}/socket.io/?EIO=4&transport=polling${query}`);
}

test('a client that asks for thousands of sockets on one connection is cut, and others feel nothing', async () => {
  const pod = await Pod.start(cleanup);
  const honest = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const open = await (await handshake(pod)).text();
  const { sid } = JSON.parse(open.slice(1)) as { sid: string };
  const body = Array.from({ length: 5000 }, () => '40').join('\x1e');
  const answer = await fetch(`${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', body });
  await answer.text();
  await until('the flood to be gone', async () => (await pod.metric('gateway_sessions')) === 1, {
    seen: () => pod.output(),
  });
  expect(await pod.metric('gateway_connects_total')).toBeLessThanOrEqual(2);
  expect(pod.logs().filter(({ msg }) => msg === 'client connected').length).toBeLessThanOrEqual(2);
  await pod.post('/v1/signals', signal(1));
  await until('the signal', () => honest.signals.length === 1, { seen: () => honest });
  expect(honest.disconnects).toEqual([]);
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});

test('a second socket on one connection is refused with a code', async () => {
  const pod = await Pod.start(cleanup);
  const { sid } = JSON.parse((await (await handshake(pod)).text()).slice(1)) as { sid: string };
  const session = `${pod.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
  await (await fetch(session, { method: 'POST', body: '40\x1e40' })).text();
  let got = '';
  await until(
    'both answers',
    async () => {
      got += await (await fetch(session)).text();
      return got.includes('44{') && got.includes('welcome');
    },
    { seen: () => got },
  );
  expect(got).toContain('"data":{"code":"already_connected"}');
  expect(got.split('["welcome"').length - 1).toBe(1);
});

test('an empty sid is no way around the limit of connections', async () => {
  const pod = await Pod.start(cleanup, { MAX_CONNECTIONS: '1' });
  await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  for (const query of ['', '&sid=', '&sid=x&sid=']) {
    const answer = await handshake(pod, query);
    expect(`${query} ${answer.status}`).toBe(`${query} 503`);
    await answer.text();
  }
  expect(await pod.metric('gateway_sessions')).toBe(1);
});

test('a client that asks for a namespace again before it is let in leaves nothing there when it goes', async () => {
  const main = fileURLToPath(new URL('../../support/scenario-pod.mjs', import.meta.url));
  const pod = await Pod.start(cleanup, {}, { main });
  const watcher = await FeedClient.connect(cleanup, pod.url, { transports: ['websocket'] });
  const guarded = (): Promise<unknown> => watcher.socket.timeout(5000).emitWithAck('how many', '/guarded');
  const client = await RawClient.connect(pod.port);
  cleanup.add(client, () => client.socket.destroy());
  await client.open();
  for (let i = 0; i < 3; i++) await client.send(RawClient.frame('40/guarded,{"token":"right","slow":true}'));
  await until('them to be let in', async () => (await guarded()) === 3);
  client.socket.destroy();
  await until('all to be gone', async () => (await guarded()) === 0, { seen: () => pod.output() });
  expect(await pod.metric('gateway_unhandled_faults_total')).toBe(0);
});
